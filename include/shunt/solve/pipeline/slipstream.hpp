#pragma once
/// SlipStream / ReCycle (arXiv 2405.14009): training goes on around dead workers, in the bubbles of the live ones.
///
/// Three parts, each with its switch: micro-batches of dead workers are re-routed to live workers of their stage, backwards are split where
/// that helps, and stages step as soon as their own gradients are reduced. Minimises the period; ties go to the earlier candidate. The
/// paper plans with a MILP; here a list scheduler runs under many policies, and every run costs microseconds:
///   1. 1F1B with the three parts as plain transforms: the result is never worse than that;
///   2. one policy for all stages, over the order of kinds, the forwards in flight, the order of guests and patience;
///   3. with a staggered step, again and again with later starts for the stages whose span is too long;
///   4. hill climbing: one stage's policy changed at a time.
/// It stops at the lower bound, or when `effort` operations have been placed. O(effort log n), the same plan on every platform.
/// Infeasible where a stage has no live worker, and on a job with dead workers when re-routing is off.
/// Throws invalid_problem where the job is broken.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/solve/pipeline/list_schedule.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// The search over policies of one job.
class policy_search {
 public:
  /// What is minimised: the period as far as the run's own times tell, then the time that all spans take together.
  using score = std::pair<ticks, ticks>;

  policy_search(pipeline_job const& job, bool split, bool stagger, ticks bound, std::int64_t effort)
      : job_(job), scheduler_(job, split), stagger_(stagger), bound_(bound), left_(effort) {
    operations_ = scheduler_.operations();
    for (column const& c : scheduler_.columns().all) {
      steps_.push_back(0);
      for (stage_id s : c.stages) steps_.back() += job.costs.step[s];
    }
    step_ = *std::max_element(steps_.begin(), steps_.end());
  }

  void search() {
    try_seeds();
    if (stagger_) {
      auto const seeds = best_of(seeds_, 6);
      for (auto const& [s, policies] : seeds) delay_starts(policies);
    }
    climb();
  }
  [[nodiscard]] ticks best() const { return best_.first; }
  [[nodiscard]] pipeline_schedule schedule() {
    scheduler_.run(best_policies_);
    return scheduler_.schedule(stagger_);
  }

 private:
  using candidate = std::pair<score, stage_policies>;

  [[nodiscard]] bool finished() const { return best_.first <= bound_ || left_ <= 0; }

  score run(stage_policies const& policies) {
    left_ -= operations_;
    scheduler_.run(policies);
    score now{0, 0};
    for (std::size_t c = 0; c < steps_.size(); ++c) {
      auto const& span = scheduler_.spans()[c];
      ticks const length = span.end - (stagger_ ? span.start : 0);
      now = {std::max(now.first, length + (stagger_ ? steps_[c] : step_)), now.second + length};
    }
    if (!scheduler_.complete()) now = {std::numeric_limits<ticks>::max(), 0};
    if (best_policies_.empty() || now < best_) {
      best_ = now;
      best_policies_ = policies;
    }
    return now;
  }

  static std::vector<candidate> best_of(std::vector<candidate> all, std::size_t most) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < all.size(); ++i) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return std::pair(all[a].first, a) < std::pair(all[b].first, b); });
    std::vector<candidate> best;
    for (std::size_t i : order)
      if (best.size() < most) best.push_back(all[i]);
    return best;
  }

  void try_seeds() {
    using p = stage_policy;
    auto const stages = static_cast<std::size_t>(job_.stages);
    for (auto const patience : {p::wait::never, p::wait::forward, p::wait::weight})
      for (bool const guests_first : {false, true})
        for (int in_flight = 0; in_flight < 6; ++in_flight)
          for (auto const prefer : {p::first::input, p::first::forward}) {
            if (finished()) return;
            stage_policies policies(stages, {.prefer = prefer, .patience = patience, .guests_first = guests_first});
            bool const limited = in_flight > 0;
            if (!limited && prefer == p::first::forward) continue;  // GPipe
            for (stage_id s : ids<stage_id>(job_.stages)) {
              std::int32_t const behind = job_.stages - s.value();
              std::int32_t const limits[] = {p::unlimited, behind, behind + 1, 2 * behind - 1, 2 * behind, job_.stages};
              policies[s].in_flight = limits[in_flight];
            }
            seeds_.emplace_back(run(policies), policies);
            if (stagger_ && seeds_.size() == 1) delay_starts(policies);  // on large jobs this is all there is time for
          }
  }

  /// Later starts for stages whose span is too long, until nothing more is gained.
  void delay_starts(stage_policies policies) {
    for (int round = 0; round < 12 && !finished(); ++round) {
      score const now = run(policies);
      ticks earliest = std::numeric_limits<ticks>::max();
      for (std::size_t c = 0; c < steps_.size(); ++c) {
        auto const span = scheduler_.spans()[c];
        ticks const excess = span.end - span.start + steps_[c] - bound_;
        for (stage_id s : scheduler_.columns().all[c].stages) policies[s].start = span.start + std::max<ticks>(0, excess);
        earliest = std::min(earliest, span.start + std::max<ticks>(0, excess));
      }
      for (auto& policy : policies) policy.start -= earliest;
      if (now.first <= bound_) return;
    }
  }

  /// Changes one policy of one stage at a time and keeps what isn't worse.
  void climb() {
    using p = stage_policy;
    if (best_policies_.empty()) return;
    auto current = best_policies_;
    auto value = best_;
    bool moved = true;
    while (moved && !finished()) {
      moved = false;
      for (stage_id s : ids<stage_id>(job_.stages)) {
        std::int32_t const behind = job_.stages - s.value();
        auto const attempt = [&](auto const& change) {
          if (finished()) return;
          auto changed = current;
          change(changed[s]);
          if (changed[s] == current[s]) return;
          auto const now = run(changed);
          if (now >= value) return;
          current = std::move(changed);
          value = now;
          moved = true;
        };
        for (auto const prefer : {p::first::input, p::first::forward}) attempt([&](p& x) { x.prefer = prefer; });
        for (auto const patience : {p::wait::never, p::wait::forward, p::wait::weight}) attempt([&](p& x) { x.patience = patience; });
        attempt([&](p& x) { x.guests_first = !x.guests_first; });
        for (std::int32_t const limit : {p::unlimited, behind, behind + 1, behind + 2, 2 * behind - 1})
          attempt([&](p& x) { x.in_flight = limit; });
        if (auto const most = job_.stash_limit(job_.live_holders(s).front()); most && *most < p::unlimited)
          for (auto const cap = static_cast<std::int32_t>(*most); std::int32_t const limit : {p::unlimited, cap - 1, cap - 2, cap / 2}) attempt([&](p& x) { x.weight_before = limit; });
        if (stagger_) {
          ticks const unit = job_.costs.microbatch(s);
          for (ticks const later : {-unit, -job_.costs.forward[s], job_.costs.forward[s], unit})
            attempt([&](p& x) { x.start = std::max<ticks>(0, x.start + later); });
        }
      }
    }
  }

  pipeline_job const& job_;
  list_scheduler scheduler_;
  bool stagger_;
  ticks bound_;
  std::int64_t left_;
  std::int64_t operations_ = 0;
  std::vector<ticks> steps_{};  // of a column
  ticks step_ = 0;              // the longest
  std::vector<candidate> seeds_{};
  score best_{std::numeric_limits<ticks>::max(), 0};
  stage_policies best_policies_{};
};

}  // namespace detail

struct slipstream {
  static constexpr std::string_view name = "slipstream";

  bool reroute = true;              ///< adaptive pipelining
  bool split = true;                ///< decoupled BackProp
  bool stagger = true;              ///< staggered optimizer
  std::int64_t effort = 2'000'000;  ///< operations to place at most, over all runs: about a tenth of a microsecond each

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    auto answer = one_f_one_b{}(job);
    if (stage_without_worker(job) || (!reroute && !job.dead.empty())) return answer;
    answer = shunt::reroute{}(job, std::move(answer.plan));
    if (split && answer.has_plan()) answer = split_backward{}(job, std::move(answer.plan));
    if (stagger && answer.has_plan()) answer = stagger_step{}(job, std::move(answer.plan));
    if (answer.status == status::optimal) return answer;

    detail::policy_search search(job, split, stagger, family_bound(job), effort);
    search.search();
    auto found = restate(job, search.schedule());
    return !answer.has_plan() || found.objective < answer.objective ? found : answer;
  }

 private:
  /// The bound of plans with fused backwards alone, where that is all we look for: a backward_input that takes as long as both.
  [[nodiscard]] ticks family_bound(pipeline_job const& job) const {
    if (split) return period_bound(job, stagger);
    pipeline_job fused = job;
    std::vector<ticks> both;
    for (stage_id s : ids<stage_id>(job.stages)) both.push_back(job.costs.backward_input[s] + job.costs.backward_weight[s]);
    fused.costs.backward_input = per_stage(std::move(both));
    fused.costs.backward_weight = 0;
    return period_bound(fused, stagger);
  }
};
static_assert(solver_for<slipstream, pipeline_job>);

}  // namespace shunt
