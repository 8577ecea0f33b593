#pragma once
/// The costs of a pipeline schedule.
///
///     makespan    end of the last forward or backward of a single iteration
///     period      distance of iterations in a long run, step included
///     bubble      share of a period in which a live rank neither computes nor steps, mean of ranks
///     stash peak  the most that a rank holds at once, in units of the job's stash weights
///
/// D = 3, S = 4, M = 6, unit costs, step 3, 1F1B: makespan 27, period 30, bubble 9/30.
/// Complexity: linear in the number of operations; period and bubble of a staggered schedule cost
/// as much as `steady_start`.
/// Reference: SlipStream, figure 3.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Returns the makespan that a timetable gives, in ticks.
[[nodiscard]] constexpr ticks makespan(pipeline_schedule const& schedule, timetable const& table) {
  ticks last = 0;
  for (rank_id r : ids<rank_id>(schedule.order.size()))
    for (std::size_t i = 0; i < schedule.order[r].size(); ++i)
      if (schedule.order[r][i].kind != op_kind::step) last = std::max(last, table.times[r][i].end);
  return last;
}
/// Returns the makespan of a single iteration, in ticks.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr ticks makespan(pipeline_job const& job, pipeline_schedule const& schedule) {
  return makespan(schedule, times(job, schedule));
}

/// Returns the longest time that a rank spends in its steps, in ticks.
[[nodiscard]] constexpr ticks longest_step(pipeline_job const& job) {
  ticks longest = 0;
  stage_groups const in(job);
  for (stage_group const& c : in.all) {
    ticks sum = 0;
    for (stage_id s : c.stages) sum += job.costs.step[s];
    longest = std::max(longest, sum);
  }
  return longest;
}

/// Returns the period that a timetable gives. Staggered: the largest over stage groups of (latest
/// end - earliest start over the group's live ranks, steps included). Otherwise: makespan + the
/// longest step.
[[nodiscard]] constexpr ticks period(pipeline_job const& job, pipeline_schedule const& schedule,
                                     timetable const& table) {
  if (!schedule.staggered_step) return makespan(schedule, table) + longest_step(job);
  ticks longest = 0;
  stage_groups const in(job);
  for (stage_group const& c : in.all) {
    bool any = false;
    interval span;
    for (rank_id r : c.live)
      for (auto const& [start, end] : table.times[r]) {
        span = any ? interval{std::min(span.start, start), std::max(span.end, end)}
                   : interval{start, end};
        any = true;
      }
    longest = std::max(longest, span.end - span.start);
  }
  return longest;
}
/// Returns the period at the starts of `steady_start`, the least of any times of the schedule.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr ticks period(pipeline_job const& job, pipeline_schedule const& schedule) {
  return period(job, schedule, steady_times(job, schedule));
}

/// Returns the bubble share of a schedule, from 0 to 1.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr double bubble_share(pipeline_job const& job,
                                            pipeline_schedule const& schedule) {
  double busy = 0, live = 0;
  stage_groups const in(job);
  for (stage_group const& c : in.all)
    for (rank_id r : c.live) {
      live += 1;
      auto const& list = schedule.order[r];
      for (operation const& o : list) busy += static_cast<double>(cost_of(job, o));
      if (schedule.overlapped.empty()) continue;
      for (std::int32_t const i : schedule.overlapped[r]) {
        operation const &a = list[static_cast<std::size_t>(i)],
                        &b = list[static_cast<std::size_t>(i) + 1];
        busy -= static_cast<double>(cost_of(job, a) + cost_of(job, b) - cost_of(job, a, b));
      }
    }
  double const available = live * static_cast<double>(period(job, schedule));
  return available > 0 ? 1 - busy / available : 0;
}

/// Returns the stash peak of each rank, in units of the job's stash weights (micro-batches by
/// default). In an overlapped pair the forward counts before the backward.
[[nodiscard]] constexpr indexed<rank_id, std::int64_t> stash_peak(
    pipeline_job const& job, pipeline_schedule const& schedule) {
  indexed<rank_id, std::int64_t> peak(schedule.order.size(), 0);
  for (rank_id r : ids<rank_id>(schedule.order.size())) {
    std::int64_t held = 0;
    auto const& list = schedule.order[r];
    std::size_t next_pair = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      bool const pair = !schedule.overlapped.empty() && next_pair < schedule.overlapped[r].size() &&
                        schedule.overlapped[r][next_pair] == static_cast<std::int32_t>(i) &&
                        i + 1 < list.size();
      if (pair) {
        ++next_pair;
        if (list[i + 1].kind == op_kind::forward)
          peak[r] = std::max(peak[r], held + job.stash.forward[list[i + 1].stage]);
      }
      operation const& o = list[i];
      if (o.kind == op_kind::step) continue;
      auto const whole = job.stash.forward[o.stage], early = job.stash.backward_input[o.stage];
      if (o.kind == op_kind::forward) peak[r] = std::max(peak[r], held += whole);
      if (o.kind == op_kind::backward) held -= whole;
      if (o.kind == op_kind::backward_input) held -= early;
      if (o.kind == op_kind::backward_weight) held -= whole - early;
    }
  }
  return peak;
}

}  // namespace shunt
