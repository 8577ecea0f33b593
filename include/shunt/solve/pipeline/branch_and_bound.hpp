#pragma once
/// The best plan of a small pipeline job, with a proof.
///
/// Bisects the period Theta between a lower bound and the best known plan; decides each Theta by a
/// job-shop search. Proves the optimum of plans that run every micro-batch where the route table
/// puts it, on its own rank if alive (`bounds_every_plan`). `split` false: of plans with fused
/// backwards alone. Where a stage group holds several stages that step, or pairs may overlap,
/// states only the bound of all plans.
/// Returns optimal; or feasible, the best plan and the bound so far; or limit_reached without a
/// plan. Infeasible where a stage has no live rank, or no order fits under the caps. Without dead
/// ranks, equal pipelines are solved once. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken.
/// Complexity: exponential; at most `most_nodes` nodes of a few microseconds each.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/measure/stage_groups.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/job_shop.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// Decides whether a plan of period Theta exists.
class exact_period {
 public:
  exact_period(pipeline_job const& job, bool split, bool stagger, routing rule, std::int64_t nodes,
               std::stop_token stop)
      : job_(job),
        stagger_(stagger),
        in_(job),
        shop_(job, split, rule),
        nodes_left_(nodes),
        stop_(std::move(stop)),
        search_(shop_, nodes_left_, stop_) {
    for (column const& c : in_.all) {
      ticks sum = 0;
      for (stage_id s : c.stages) sum += job.costs.step[s];
      steps_.push_back(sum);
    }
  }

  using verdict = exact_search::verdict;

  /// Returns `found` where a plan has at most this period; `plan` then holds it.
  [[nodiscard]] verdict possible(ticks theta) {
    std::vector<ticks> length;
    ticks const longest = *std::max_element(steps_.begin(), steps_.end());
    for (ticks const steps : steps_) length.push_back(theta - (stagger_ ? steps : longest));
    std::vector<box> open{{column_starts(length.size(), stagger_ ? exact_search::never : 0),
                           column_starts(length.size(), stagger_ ? exact_search::whenever : 0)}};
    open.front().low.front() = open.front().high.front() = 0;
    while (!open.empty()) {
      box b = std::move(open.back());
      open.pop_back();
      if (!tighten(b, length)) continue;
      for (std::size_t c = 0; c < length.size(); ++c)
        if (b.low[c] < exact_search::never / 2 || b.high[c] > exact_search::whenever / 2)
          return verdict::limit;  // no path to the first stage group and back
      auto const answer = search_.search();
      if (answer == verdict::limit) return answer;
      if (answer == verdict::impossible) continue;
      read_plan();
      if (period(job_, plan_) <= theta) return answer;
      cut(b, length, open);
    }
    return verdict::impossible;
  }
  [[nodiscard]] pipeline_schedule const& plan() const { return plan_; }
  /// Returns the time of all operations one after another. A plan that never idles on all ranks at
  /// once is not longer.
  [[nodiscard]] ticks whole() const {
    ticks sum = 0;
    for (auto const& t : shop_.types) sum += (t.duration + t.delay) * shop_.count(t);
    for (ticks const steps : steps_) sum += steps;
    return sum;
  }

 private:
  struct box {
    column_starts low{}, high{};
  };

  [[nodiscard]] std::size_t column_of(exact_shop::type const& t) const {
    return static_cast<std::size_t>(shop_.column_of[static_cast<std::size_t>(t.rank)]);
  }

  /// Sets the windows of the box and removes the starts that heads and tails exclude.
  /// Returns false where no start is left.
  [[nodiscard]] bool tighten(box& b, std::vector<ticks> const& length) {
    for (int round = 0; round < 8; ++round) {
      std::vector<ticks> release, deadline;
      for (std::int32_t const c : shop_.column_of) {
        auto const i = static_cast<std::size_t>(c);
        release.push_back(b.low[i]);
        deadline.push_back(std::min(exact_search::whenever, b.high[i] + length[i]));
      }
      search_.set_windows(release, deadline);
      if (!stagger_) return true;
      auto const before = b;
      column_starts earliest(length.size(), exact_search::whenever);
      for (auto const& t : shop_.types)
        for (std::int32_t k = 0; k < shop_.count(t); ++k) {
          auto const o = static_cast<std::size_t>(t.first + k), c = column_of(t);
          earliest[c] = std::min(earliest[c], search_.head(o));
          b.low[c] = std::max(b.low[c], search_.head(o) + t.duration - length[c]);
          b.high[c] = std::min(b.high[c], search_.latest_end(o) - t.duration);
        }
      bool same = true;
      for (std::size_t c = 0; c < length.size(); ++c) {
        if (earliest[c] < exact_search::whenever) b.low[c] = std::max(b.low[c], earliest[c]);
        if (b.low[c] > b.high[c]) return false;
        same = same && b.low[c] == before.low[c] && b.high[c] == before.high[c];
      }
      if (same) return true;
    }
    return true;
  }

  /// Builds `plan_` from the order that the search found.
  void read_plan() {
    plan_ = empty_schedule(job_);
    plan_.staggered_step = stagger_;
    std::vector<std::int32_t> next(shop_.types.size(), 0);
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      for (std::int32_t const i : search_.order()[r.index()]) {
        auto const& t = shop_.types[static_cast<std::size_t>(i)];
        plan_.order[r].push_back(shop_.operation_of(t, next[static_cast<std::size_t>(i)]++));
      }
      if (!job_.alive(r)) continue;
      for (stage_id s : job_.stages_of(r))
        plan_.order[r].push_back({.kind = op_kind::step, .stage = s});
    }
  }

  /// Splits the box in two at the stage group that exceeds its window most: it starts by a point
  /// between, or after it.
  void cut(box const& b, std::vector<ticks> const& length, std::vector<box>& open) {
    column_starts start(length.size(), exact_search::whenever),
        end(length.size(), exact_search::never);
    for (auto const& t : shop_.types)
      for (std::int32_t k = 0; k < shop_.count(t); ++k) {
        ticks const e = search_.end(static_cast<std::size_t>(t.first + k));
        start[column_of(t)] = std::min(start[column_of(t)], e - t.duration);
        end[column_of(t)] = std::max(end[column_of(t)], e);
      }
    std::size_t worst = 0;
    for (std::size_t c = 1; c < length.size(); ++c)
      if (end[c] - start[c] - length[c] > end[worst] - start[worst] - length[worst]) worst = c;
    ticks const middle = start[worst] + (end[worst] - length[worst] - 1 - start[worst]) / 2;
    box early = b, late = b;
    early.high[worst] = middle;
    late.low[worst] = middle + 1;
    open.push_back(std::move(early));
    open.push_back(std::move(late));
  }

  pipeline_job const& job_;
  bool stagger_;
  columns in_;
  exact_shop shop_;
  std::int64_t nodes_left_;
  std::stop_token stop_;
  exact_search search_;
  std::vector<ticks> steps_{};
  pipeline_schedule plan_{};
};

}  // namespace detail

/// Anytime solver for any layout: exact search on small jobs.
struct branch_and_bound {
  static constexpr std::string_view name = "branch_and_bound";

  bool split = true;                  ///< false: fused backwards only
  bool stagger = true;                ///< false: every worker waits for all others before it steps
  routing rule = routing::by_load;    ///< where the micro-batches of dead ranks run
  std::int64_t most_nodes = 200'000;  ///< limit on the nodes over all Theta

  /// Returns whether the proof holds for every plan of the job: backwards may be split, and no
  /// micro-batch could run on another rank.
  [[nodiscard]] bool bounds_every_plan(pipeline_job const& job) const {
    auto const all = ids<stage_id>(job.stages);
    return split && std::all_of(all.begin(), all.end(),
                                [&](stage_id s) { return job.live_holders(s).size() <= 1; });
  }

  /// Returns the best plan and its proved bound.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    return (*this)(job, std::stop_token{});
  }
  /// As above. `stop` ends the search early; the answer is then the best so far.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job,
                                                       std::stop_token stop) const {
    validate(job);
    if (job.pipelines > 1 && detail::pipelines_are_equal(job)) {
      auto one = (*this)(detail::first_pipeline(job), std::move(stop));
      one.plan = detail::copied_to_all(job, one.plan);
      return one;
    }
    if (stage_without_worker(job)) return restate(job, empty_schedule(job));
    solution<pipeline_schedule> answer{.status = status::limit_reached,
                                       .lower_bound =
                                           static_cast<double>(period_bound(job, stagger)),
                                       .reason = "too few nodes"};
    auto const general = answer.lower_bound;
    detail::exact_period exact(job, split, stagger, rule, most_nodes, std::move(stop));
    using verdict = detail::exact_period::verdict;
    auto const any = exact.possible(exact.whole());
    if (any == verdict::impossible) {
      answer.status = status::infeasible;
      answer.reason = "no order fits under the stash cap";
    }
    if (any != verdict::found) return answer;
    answer = improve_order{.reroute = false, .effort = 100'000}(job, exact.plan());
    auto low = split ? period_bound(job, stagger) : fused_period_bound(job, stagger),
         high = static_cast<ticks>(answer.objective);
    while (low < high) {
      ticks const middle = low + (high - low) / 2;
      auto const is = exact.possible(middle);
      if (is == verdict::limit) break;
      if (is == verdict::impossible) {
        low = middle + 1;
      } else {
        answer.plan = exact.plan();
        high = period(job, answer.plan);
      }
    }
    answer.objective = static_cast<double>(high);
    answer.lower_bound = covers(job) ? static_cast<double>(low) : general;
    answer.status = answer.objective > answer.lower_bound ? status::feasible : status::optimal;
    return answer;
  }

 private:
  /// Returns whether the proof holds for every plan with these backwards and routes.
  [[nodiscard]] bool covers(pipeline_job const& job) const {
    auto const all = columns(job).all;
    auto const steps = [&](column const& c) {
      return std::any_of(c.stages.begin(), c.stages.end(),
                         [&](stage_id s) { return job.costs.step[s] > 0; });
    };
    return job.costs.overlap_gain == 0 &&
           (!stagger || std::none_of(all.begin(), all.end(), [&](column const& c) {
             return c.stages.size() > 1 && steps(c);
           }));
  }
};
static_assert(anytime_solver_for<branch_and_bound, pipeline_job>);

}  // namespace shunt
