#pragma once
/// What a pipeline schedule costs.
///
///     makespan   end of the last forward or backward of one iteration by itself
///     period     distance of iterations in a long run, the step included. Staggered: the largest over stages of (latest end - earliest
///                start over the stage's live peers) + the stage's step, at the starts of `steady_start`, which make it least.
///                Otherwise: makespan + the largest step
///     bubble     share of a period in which a live worker neither computes nor steps, mean over the live workers
///     stash peak the most micro-batches a worker holds at once, from forward to fused backward or backward_weight
///
/// D = 3, S = 4, M = 6, unit costs, step 3, 1F1B: makespan 27, period 30, bubble 9/30 (SlipStream, figure 3).
/// Linear in the number of operations; period and bubble of a staggered schedule cost what `steady_start` does. All throw std::invalid_argument
/// where the orders of the workers wait for each other, but the peaks, which need no times.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

[[nodiscard]] constexpr ticks makespan(pipeline_schedule const& schedule, timetable const& table) {
  ticks last = 0;
  for (rank_id r : ids<rank_id>(schedule.order.size()))
    for (std::size_t i = 0; i < schedule.order[r].size(); ++i)
      if (schedule.order[r][i].kind != op_kind::step) last = std::max(last, table.times[r][i].end);
  return last;
}
[[nodiscard]] constexpr ticks makespan(pipeline_job const& job, pipeline_schedule const& schedule) {
  return makespan(schedule, times(job, schedule));
}

/// The period as the times have it; `period(job, schedule)` is the least that any times of the schedule have.
[[nodiscard]] constexpr ticks period(pipeline_job const& job, pipeline_schedule const& schedule, timetable const& table) {
  if (!schedule.staggered_step) {
    ticks step = 0;
    for (stage_id s : ids<stage_id>(job.stages)) step = std::max(step, job.costs.step[s]);
    return makespan(schedule, table) + step;
  }
  ticks longest = 0;
  for (stage_id s : ids<stage_id>(job.stages)) {
    bool any = false;
    interval span;
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      rank_id const r = job.rank_of({p, s});
      for (std::size_t i = 0; i < schedule.order[r].size(); ++i) {
        if (schedule.order[r][i].kind == op_kind::step) continue;
        auto const& [start, end] = table.times[r][i];
        span = any ? interval{std::min(span.start, start), std::max(span.end, end)} : interval{start, end};
        any = true;
      }
    }
    longest = std::max(longest, span.end - span.start + job.costs.step[s]);
  }
  return longest;
}
[[nodiscard]] constexpr ticks period(pipeline_job const& job, pipeline_schedule const& schedule) {
  return period(job, schedule, steady_times(job, schedule));
}

[[nodiscard]] constexpr double bubble_share(pipeline_job const& job, pipeline_schedule const& schedule) {
  double busy = 0, workers = 0;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    if (!job.alive(job.worker_of(r))) continue;
    workers += 1;
    for (operation const& o : schedule.order[r]) busy += static_cast<double>(cost_of(job, o));
  }
  double const available = workers * static_cast<double>(period(job, schedule));
  return available > 0 ? 1 - busy / available : 0;
}

[[nodiscard]] constexpr indexed<rank_id, std::int32_t> stash_peak(pipeline_schedule const& schedule) {
  indexed<rank_id, std::int32_t> peak(schedule.order.size(), 0);
  for (rank_id r : ids<rank_id>(schedule.order.size())) {
    std::int32_t held = 0;
    for (operation const& o : schedule.order[r]) {
      if (o.kind == op_kind::forward) peak[r] = std::max(peak[r], ++held);
      if (o.kind == op_kind::backward || o.kind == op_kind::backward_weight) --held;
    }
  }
  return peak;
}

}  // namespace shunt
