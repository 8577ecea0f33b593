#pragma once
#include "shunt/measure/pipeline.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "shunt/core/operation.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks makespan(pipeline_schedule const& schedule, timetable const& table) {
  detail::require_match(schedule, table);
  ticks last = 0;
  for (rank_id r : ids<rank_id>(schedule.order.size()))
    for (std::size_t i = 0; i < schedule.order[r].size(); ++i)
      if (schedule.order[r][i].kind != op_kind::step) last = std::max(last, table.times[r][i].end);
  return last;
}

SHUNT_CONSTEXPR ticks makespan(pipeline_job const& job, pipeline_schedule const& schedule) {
  return makespan(schedule, times(job, schedule));
}

SHUNT_CONSTEXPR ticks longest_step(pipeline_job const& job) {
  auto const steps = longest_steps(job, stage_groups(job));
  return *std::max_element(steps.begin(), steps.end());
}

SHUNT_CONSTEXPR ticks period(pipeline_job const& job, pipeline_schedule const& schedule,
                             timetable const& table) {
  detail::require_match(schedule, table);
  if (!schedule.staggered_step) return makespan(schedule, table) + longest_step(job);
  if (table.times.size() != static_cast<std::size_t>(job.ranks()))
    throw std::invalid_argument("a schedule of another number of ranks than the job");
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

SHUNT_CONSTEXPR ticks period(pipeline_job const& job, pipeline_schedule const& schedule) {
  stage_groups const in(job);
  auto const graph = detail::executable_graph(job, schedule);
  return detail::period_of(job, schedule, in, graph,
                           detail::steady_state(job, schedule, in, graph).times.end);
}

SHUNT_CONSTEXPR double bubble_share(pipeline_job const& job, pipeline_schedule const& schedule) {
  return bubble_share(job, schedule, period(job, schedule));
}

SHUNT_CONSTEXPR double bubble_share(pipeline_job const& job, pipeline_schedule const& schedule,
                                    ticks length) {
  detail::require_match(job, schedule);
  double busy = 0, live = 0;
  stage_groups const in(job);
  for (stage_group const& c : in.all)
    for (rank_id r : c.live) {
      live += 1;
      auto const& list = schedule.order[r];
      for (operation const& o : list) busy += static_cast<double>(cost_of(job, o, r));
      if (schedule.overlapped.empty()) continue;
      for (std::int32_t const i : schedule.overlapped[r]) {
        operation const &a = list[static_cast<std::size_t>(i)],
                        &b = list[static_cast<std::size_t>(i) + 1];
        busy -=
            static_cast<double>(cost_of(job, a, r) + cost_of(job, b, r) - cost_of(job, a, b, r));
      }
    }
  double const available = live * static_cast<double>(length);
  return available > 0 ? 1 - busy / available : 0;
}

SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> stash_peak(pipeline_job const& job,
                                                          pipeline_schedule const& schedule) {
  detail::require_match(job, schedule);
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
