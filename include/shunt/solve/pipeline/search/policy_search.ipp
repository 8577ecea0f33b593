#pragma once
#include "shunt/solve/pipeline/search/policy_search.hpp"

#include <algorithm>
#include <numeric>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt::detail {

SHUNT_INLINE policy_search::policy_search(pipeline_job const& job, bool split, bool stagger,
                                          ticks bound, std::int64_t effort, routing rule)
    : job_(job),
      scheduler_(job, split, rule),
      stagger_(stagger),
      moved_(!job.dead.empty() || job.uneven()),
      left_(effort) {
  ticks grid = 0;  // all times are multiples of it
  auto const on_grid = [&](per_stage const& costs) {
    for (ticks const c : costs.values()) grid = std::gcd(grid, c);
  };
  for (auto const* costs :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight, &job.costs.step})
    on_grid(*costs);
  for (ticks const time : job.transfer.values()) grid = std::gcd(grid, time);
  bound_ = ceil_divide(bound, grid) * grid;
  steps_ = longest_steps(job, scheduler_.stage_groups());
  step_ = *std::max_element(steps_.begin(), steps_.end());
}

SHUNT_INLINE void policy_search::search() {
  try_seeds();
  if (stagger_) {
    for (auto const& [s, policies] : best_of(seeds_, 6)) delay_starts(policies);
    if (job_.memory.rule == stash_cap::kind::none)
      for (auto const& [s, policies] : best_of(seeds_, 12)) apply_forward_backward(policies);
  }
  if (best_policies_.empty() || !completed_) return;
  climb(best_policies_);
}

SHUNT_INLINE pipeline_schedule policy_search::schedule() {
  if (improved_) return *std::move(improved_);
  if (last_ != best_policies_) scheduler_.run(best_policies_);
  return scheduler_.schedule(stagger_);
}

SHUNT_INLINE bool policy_search::exact() const {
  if (improved_ || last_ != best_policies_ || job_.uneven() ||
      job_.memory.rule != stash_cap::kind::none ||
      job_.layout.form() != stage_layout::shape::linear)
    return false;
  for (stage_policy const& p : best_policies_)
    if (p.patience != stage_policy::wait::never || p.in_flight != stage_policy::unlimited ||
        p.start > 0)
      return false;
  // No operation waits for more than its input and its rank. So all longest paths start with the
  // first stage's ranks, and a period is no shorter than the one from there to their own end.
  auto const first = scheduler_.spans().front();
  return !stagger_ || best_.first == first.end - first.start + steps_.front();
}

SHUNT_INLINE policy_search::score policy_search::score_of(
    std::vector<interval> const& spans) const {
  score now{0, 0};
  for (std::size_t c = 0; c < steps_.size(); ++c) {
    ticks const length = spans[c].end - (stagger_ ? spans[c].start : 0);
    now = {std::max(now.first, length + (stagger_ ? steps_[c] : step_)), now.second + length};
  }
  return now;
}

SHUNT_INLINE policy_search::score policy_search::run(stage_policies const& policies) {
  left_ -= scheduler_.operations();
  scheduler_.run(policies);
  last_ = policies;
  completed_ = completed_ || scheduler_.complete();
  score const now = scheduler_.complete() ? score_of(scheduler_.spans()) : score{nothing, 0};
  if (best_policies_.empty() || now < best_) {
    best_ = now;
    best_policies_ = policies;
    improved_.reset();
  }
  return now;
}

SHUNT_INLINE std::vector<policy_search::candidate> policy_search::best_of(
    std::vector<candidate> const& all, std::size_t most) {
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(all[a].first, a) < std::pair(all[b].first, b);
  });
  std::vector<candidate> best;
  for (std::size_t i : order)
    if (best.size() < most) best.push_back(all[i]);
  return best;
}

SHUNT_INLINE void policy_search::try_seeds() {
  using p = stage_policy;
  auto const stages = static_cast<std::size_t>(job_.stages);
  for (auto const patience : {p::wait::never, p::wait::forward, p::wait::weight})
    for (bool const rerouted_first : {false, true})
      for (int in_flight = 0; in_flight < 6; ++in_flight)
        for (auto const prefer : {p::first::input, p::first::forward}) {
          if (finished() && !seeds_.empty()) return;
          stage_policies policies(
              stages, {.prefer = prefer, .patience = patience, .rerouted_first = rerouted_first});
          bool const limited = in_flight > 0;
          if (!limited && prefer == p::first::forward) continue;  // GPipe
          if (rerouted_first && !moved_) continue;
          for (stage_id s : ids<stage_id>(job_.stages)) {
            std::int32_t const behind = job_.stages - s.value();
            std::int32_t const limits[] = {p::unlimited,   behind,     behind + 1,
                                           2 * behind - 1, 2 * behind, job_.stages};
            policies[s].in_flight = limits[in_flight];
          }
          seeds_.emplace_back(run(policies), policies);
          if (stagger_ && seeds_.size() == 1)
            delay_starts(policies);  // large jobs have effort for this alone
        }
}

SHUNT_INLINE void policy_search::delay_starts(stage_policies policies) {
  for (int round = 0; round < 12 && !finished(); ++round) {
    if (policies != last_) run(policies);
    if (finished() || !scheduler_.complete()) return;
    ticks earliest = nothing;
    for (std::size_t c = 0; c < steps_.size(); ++c) {
      auto const span = scheduler_.spans()[c];
      if (span.end == 0) continue;  // no live rank, or no operation
      ticks const start = std::max(span.start, span.end + steps_[c] - bound_);
      for (stage_id s : scheduler_.stage_groups().all[c].stages) policies[s].start = start;
      earliest = std::min(earliest, start);
    }
    for (auto& policy : policies) policy.start -= earliest;
  }
}

SHUNT_INLINE void policy_search::apply_forward_backward(stage_policies const& policies) {
  for (bool const patient : {false, true}) {
    if (finished()) return;
    justified_ = true;
    run(policies);
    if (!scheduler_.complete()) return;
    left_ -= scheduler_.operations();
    forward_backward improved(job_, scheduler_.schedule(true));
    auto spans = scheduler_.spans();
    for (int round = 0; round < 20 && !finished(); ++round) {
      bool const backwards = round % 2 == 0;
      auto const limit = limits(spans, backwards);
      left_ -= scheduler_.operations();
      backwards ? improved.backwards(limit, patient) : improved.forwards(limit, patient);
      spans = improved.spans();
      keep(improved);
    }
  }
}

SHUNT_INLINE std::vector<ticks> policy_search::limits(std::vector<interval> const& spans,
                                                      bool backwards) const {
  std::vector<ticks> limit;
  for (std::size_t c = 0; c < steps_.size(); ++c) {
    ticks const room = bound_ - steps_[c];
    limit.push_back(backwards ? spans[c].start + room : spans[c].end - room);
  }
  return limit;
}

SHUNT_INLINE void policy_search::keep(forward_backward const& passes) {
  auto const now = score_of(passes.spans());
  if (now >= best_) return;
  best_ = now;
  improved_ = passes.schedule(true);
}

SHUNT_INLINE void policy_search::justify() {
  if (justified_ || !completed_ || !stagger_ || best_.first <= bound_ ||
      job_.memory.rule != stash_cap::kind::none)
    return;
  justified_ = true;
  if (last_ != best_policies_) run(best_policies_);
  left_ -= scheduler_.operations();
  forward_backward improved(job_, scheduler_.schedule(true));
  improved.backwards(limits(scheduler_.spans(), true), false);
  keep(improved);
}

SHUNT_INLINE void policy_search::climb(stage_policies current) {
  using p = stage_policy;
  if (finished()) return;
  auto value = run(current);
  bool moved = true;
  while (moved && !finished()) {
    moved = false;
    for (stage_id s : ids<stage_id>(job_.stages)) {
      std::int32_t const behind = job_.stages - s.value();
      auto const attempt = [&](auto const& change) {
        if (finished()) return;
        auto changed = current;
        change(changed);
        if (changed == current) return;
        auto const now = run(changed);
        if (now >= value) return;
        current = std::move(changed);
        value = now;
        moved = true;
      };
      for (auto const prefer : {p::first::input, p::first::forward})
        attempt([&](auto& all) { all[s].prefer = prefer; });
      for (auto const patience : {p::wait::never, p::wait::forward, p::wait::weight})
        attempt([&](auto& all) { all[s].patience = patience; });
      if (moved_) attempt([&](auto& all) { all[s].rerouted_first = !all[s].rerouted_first; });
      for (std::int32_t const limit :
           {p::unlimited, behind, behind + 1, behind + 2, 2 * behind - 1})
        attempt([&](auto& all) { all[s].in_flight = limit; });
      if (auto const room = job_.stash_limit(job_.live_holders(s).front()))
        for (auto const most = static_cast<std::int32_t>(
                 std::min<std::int64_t>(*room / job_.stash.forward[s], p::unlimited));
             std::int32_t const limit : {p::unlimited, most - 1, most - 2, most / 2})
          attempt([&](auto& all) { all[s].weight_before = limit; });
      if (scheduler_.stage_groups().all.size() < static_cast<std::size_t>(job_.stages))
        for (std::int32_t const lag : {-job_.stages, -1, 0, 1, job_.stages})
          attempt([&](auto& all) { all[s].lag = lag; });
      if (!stagger_) continue;
      ticks const unit = job_.costs.microbatch(s);
      for (ticks const later : {-unit, -job_.costs.forward[s], job_.costs.forward[s], unit})
        attempt([&](auto& all) { all[s].start = std::max<ticks>(0, all[s].start + later); });
    }
  }
}

}  // namespace shunt::detail
