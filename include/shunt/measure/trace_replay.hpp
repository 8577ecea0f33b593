#pragma once
/// The throughput of a job over a trace of failures, and where the rest went.
///
/// A policy says how fast the nodes that are there train: the rate is 1 for the job without
/// failures under its own schedule, and more where a schedule is better than that. Each change of
/// the live nodes is one event, however many nodes it takes. It has a cost of its own, from the
/// nodes before and after it, charged beside the rate. Seconds lost are those at rate 1, so that
///     seconds = done + degraded + without_plan + aborted + rolled_back + stopped + joined
///               + checkpoints.
/// Complexity: one call of the policy for each set of live nodes, and those of live_intervals.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"
#include "shunt/problem/failure_trace.hpp"

namespace shunt {

/// How fast the live nodes train. Rate 0 waits for nodes; `no_plan`, which says why, is for good:
/// what would be needed to go on is lost.
struct live_rate {
  double rate = 0;  ///< of the job without failures
  text no_plan{};   ///< empty where there is a plan

  bool operator==(live_rate const&) const = default;
};

/// What a change of the live nodes costs. All numbers are at least 0. As `changes` of `replay`: all
/// changes cost the same.
struct change_cost {
  /// Iterations of work that a removal takes away: 0.5 where the one in flight is aborted, less
  /// where finished work of it is kept.
  double lose = 0;
  /// Seconds without progress after a removal, from the latest one on: agreement, and the bytes of
  /// states that the busiest link carries.
  double stop = 0;
  double join = 0;  ///< the same after an addition

  constexpr change_cost operator()(std::span<node_id const>, std::span<node_id const>) const {
    return *this;
  }
  bool operator==(change_cost const&) const = default;
};

/// What iterations take. All numbers are at least 0.
struct iteration_costs {
  double iteration = 1;  ///< seconds of an iteration without failures, above 0
  /// Iterations between two checkpoints; 0: none. A removal takes half of them away.
  std::int32_t every = 0;
  double checkpoint = 0;  ///< seconds of one checkpoint

  bool operator==(iteration_costs const&) const = default;
};

/// Throws invalid_problem, which names the field and its value.
void validate(iteration_costs const& costs);

/// Seconds lost, at rate 1.
struct lost_seconds {
  double degraded = 0;  ///< by fewer nodes; below 0 where the rate is above 1
  /// After the event from which the policy has no plan.
  double without_plan = 0;
  double aborted = 0;      ///< work in flight at a removal
  double rolled_back = 0;  ///< work since the last checkpoint
  double stopped = 0;      ///< after removals
  double joined = 0;       ///< after additions
  double checkpoints = 0;  ///< while checkpoints are written

  [[nodiscard]] constexpr double sum() const {
    return degraded + without_plan + aborted + rolled_back + stopped + joined + checkpoints;
  }
  bool operator==(lost_seconds const&) const = default;
};

/// A policy over one interval of the trace.
struct interval_rate {
  std::int64_t begin = 0, end = 0;  ///< milliseconds
  std::int32_t live = 0;            ///< nodes
  double rate = 0;                  ///< of the policy
  double mean = 0;                  ///< with what events cost here; below 0 where they cost more

  bool operator==(interval_rate const&) const = default;
};

/// Where a policy has no plan any more.
struct lost_plan {
  std::int32_t event = 0;  ///< index into the events of the trace
  text why{};

  bool operator==(lost_plan const&) const = default;
};

/// A policy over a trace.
struct trace_result {
  double seconds = 0;  ///< from the first event to the end
  double done = 0;     ///< work, in seconds at rate 1
  lost_seconds lost{};
  std::vector<interval_rate> intervals{};
  std::optional<lost_plan> ended{};  ///< nothing where there was a plan to the end

  /// Returns the mean rate.
  [[nodiscard]] constexpr double mean() const { return done / seconds; }
};

namespace detail {

/// Adds up intervals in order of time.
class trace_account {
 public:
  explicit trace_account(iteration_costs const& costs);
  /// Adds an interval in which the policy has this rate, or no plan, and which begins with a change
  /// of this cost.
  void add(live_interval const& span, live_rate const& at, change_cost const& change);

  trace_result result{};

 private:
  iteration_costs costs_;
  double since_ = 0;    // work since the last removal
  double to_stop_ = 0;  // seconds that the last removal still stops
  double to_join_ = 0;  // seconds that the last addition still stops
};

/// Throws invalid_problem for a rate that is below 0 or no number.
void validate(live_rate const& at, std::int32_t event);
/// Throws invalid_problem for a cost that is below 0 or no number.
void validate(change_cost const& change, std::int32_t event);

}  // namespace detail

/// Replays a trace. `policy` maps the live nodes, a span of node_id in ascending order, to
/// live_rate; it is asked once for each set of them. `changes` maps the live nodes before and after
/// a change to its change_cost; it is asked at each.
///
/// A removal takes `lose` iterations and half of `every` away, at most what was done since the last
/// one, and begins its stop anew; an addition adds none to a stop that goes on longer. A change
/// that removes and adds nodes has both. A policy without a plan does nothing from that event on.
/// Returns rates, work and lost seconds.
/// Throws invalid_problem where trace or costs are broken, all events lie at the end, a rate or the
/// cost of a change is below 0 or no number; and what `policy` and `changes` throw.
template <class Policy, class Changes = change_cost>
[[nodiscard]] trace_result replay(failure_trace const& trace, Policy const& policy,
                                  Changes const& changes, iteration_costs const& costs = {}) {
  validate(costs);
  auto const spans = live_intervals(trace);
  if (spans.empty())
    throw invalid_problem("end", "is at " + std::to_string(trace.end) +
                                     " ms, where the first event lies: nothing to replay");
  std::map<std::vector<node_id>, live_rate> known;
  detail::trace_account account(costs);
  std::span<node_id const> before;
  for (live_interval const& span : spans) {
    std::span<node_id const> const live(span.live);
    auto found = known.find(span.live);
    if (found == known.end()) {
      live_rate at = policy(live);
      detail::validate(at, span.event);
      found = known.emplace(span.live, std::move(at)).first;
    }
    change_cost change;
    if (span.removed || span.added) {
      change = changes(before, live);
      detail::validate(change, span.event);
    }
    account.add(span, found->second, change);
    before = live;
  }
  return std::move(account.result);
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/trace_replay.ipp"
#endif
