#pragma once
#include "shunt/measure/redundant_times.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/times.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void require_places(pipeline_job const& job, redundant_schedule const& schedule) {
  if (!schedule.plain.overlapped.empty())
    throw std::invalid_argument("a schedule with overlapped pairs and redundant forwards");
  if (schedule.redundant.size() != schedule.plain.order.size())
    throw std::invalid_argument("redundant forwards that aren't one list a rank");
  std::vector<char> seen(job.cells(), 0);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const length = static_cast<std::int64_t>(schedule.plain.order[r].size());
    std::int32_t least = 0;
    for (auto const& [o, before] : schedule.redundant[r]) {
      if (before < least || before >= length)
        throw std::invalid_argument("a redundant forward without a place in its rank's list");
      least = before;
      bool const known = o.kind == op_kind::forward && o.pipeline >= 0 &&
                         o.pipeline < job.pipelines && o.stage >= 0 && o.stage < job.stages &&
                         o.microbatch >= 0 && o.microbatch < job.microbatches[o.pipeline];
      if (!known || seen[job.cell(o.pipeline, o.stage, o.microbatch)] != 0)
        throw std::invalid_argument("a redundant forward that the job doesn't have, or twice");
      seen[job.cell(o.pipeline, o.stage, o.microbatch)] = 1;
    }
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR redundant_timetable times(pipeline_job const& job,
                                          redundant_schedule const& schedule) {
  detail::require_match(job, schedule.plain);
  detail::require_places(job, schedule);
  auto const graph = graph_of(job, schedule.plain);
  if (!graph.executable())
    throw std::invalid_argument(
        "a schedule that can't be executed: its workers wait for each other");
  redundant_timetable table;
  table.plain.times.resize(schedule.plain.order.size());
  table.redundant.resize(schedule.redundant.size());
  for (rank_id r : ids<rank_id>(job.ranks()))
    table.plain.times[r].resize(schedule.plain.order[r].size());
  std::vector<ticks> end(graph.nodes.size(), 0);
  // when the last operation that a stage's step waits for has ended
  std::vector<ticks> ready(static_cast<std::size_t>(job.stages), 0);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    ticks at = n.before >= 0 ? end[static_cast<std::size_t>(n.before)] : 0;
    auto& done = table.redundant[n.rank];
    for (auto const& all = schedule.redundant[n.rank];
         done.size() < all.size() && all[done.size()].before == n.index;) {
      ticks const cost = cost_of(job, all[done.size()].forward, n.rank);
      done.push_back({at, at + cost});
      at += cost;
    }
    auto const& o = schedule.plain.order[n.rank][static_cast<std::size_t>(n.index)];
    auto& group = ready[schedule.plain.staggered_step ? o.stage.index() : 0];
    if (n.producer >= 0) at = std::max(at, end[static_cast<std::size_t>(n.producer)] + n.delay);
    if (n.is_step) at = std::max(at, group);
    end[i] = at + n.duration;
    if (!n.is_step) group = std::max(group, end[i]);
    table.plain.times[n.rank][static_cast<std::size_t>(n.index)] = {at, end[i]};
  }
  return table;
}

}  // namespace shunt
