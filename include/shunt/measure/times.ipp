#pragma once
#include "shunt/measure/times.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void graph_times::run(pipeline_job const& job, pipeline_schedule const& schedule,
                                      stage_groups const& in, operation_graph const& graph,
                                      stage_group_starts const& start) {
  end.assign(graph.nodes.size(), 0);
  last.assign(static_cast<std::size_t>(job.stages), operation_graph::none);
  ready.assign(last.size(), no_start);
  bool const together = !schedule.staggered_step;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    std::size_t const reduced_with = together ? 0 : n.stage.index();
    ticks at = start.empty() ? 0 : start[static_cast<std::size_t>(in.of[n.rank])];
    if (n.before >= 0) at = std::max(at, end[static_cast<std::size_t>(n.before)]);
    if (n.producer >= 0) at = std::max(at, end[static_cast<std::size_t>(n.producer)] + n.delay);
    if (n.second_producer >= 0)
      at = std::max(at, end[static_cast<std::size_t>(n.second_producer)] + n.second_delay);
    if (n.is_step) at = std::max(at, ready[reduced_with]);
    end[i] = at < 0 ? no_start : at + n.duration;
    if (n.is_step) continue;
    auto const reduce = [&](std::size_t with) {
      if (end[i] <= ready[with]) return;
      ready[with] = end[i];
      last[with] = static_cast<std::int32_t>(i);
    };
    reduce(reduced_with);
    if (n.pair && !together)
      reduce(schedule.order[n.rank][static_cast<std::size_t>(n.index) + 1].stage.index());
  }
}

SHUNT_CONSTEXPR timetable table_of(pipeline_schedule const& schedule, operation_graph const& graph,
                                   std::vector<ticks> const& end) {
  timetable table;
  table.times.resize(schedule.order.size());
  for (rank_id r : ids<rank_id>(schedule.order.size()))
    table.times[r].resize(schedule.order[r].size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    for (std::int32_t part = 0; part <= static_cast<std::int32_t>(n.pair); ++part)
      table.times[n.rank][static_cast<std::size_t>(n.index + part)] = {end[i] - n.duration, end[i]};
  }
  return table;
}

SHUNT_CONSTEXPR ticks period_of(pipeline_job const& job, pipeline_schedule const& schedule,
                                stage_groups const& in, operation_graph const& graph,
                                std::vector<ticks> const& end) {
  ticks longest = 0;
  if (!schedule.staggered_step) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
      if (!graph.nodes[i].is_step) longest = std::max(longest, end[i]);
    auto const steps = longest_steps(job, in);
    return longest + *std::max_element(steps.begin(), steps.end());
  }
  std::vector<interval> spans(in.all.size(), {std::numeric_limits<ticks>::max(), 0});
  for (rank_id r : ids<rank_id>(graph.last.size())) {
    if (graph.last[r] < 0) continue;
    auto const from = static_cast<std::size_t>(graph.first[r]),
               to = static_cast<std::size_t>(graph.last[r]);
    auto& span = spans[static_cast<std::size_t>(in.of[r])];
    span = {std::min(span.start, end[from] - graph.nodes[from].duration),
            std::max(span.end, end[to])};
  }
  for (auto const& [start, last] : spans)
    if (start <= last) longest = std::max(longest, last - start);
  return longest;
}

SHUNT_CONSTEXPR bool settles(std::vector<stage_group_starts> const& path, ticks theta,
                             stage_group_starts& start) {
  start = stage_group_starts(path.size(), 0);
  for (std::size_t round = 0; round <= path.size(); ++round) {
    bool moved = false;
    for (std::size_t d = 0; d < path.size(); ++d)
      for (std::size_t c = 0; c < path.size(); ++c) {
        if (path[c][d] < 0) continue;
        ticks const least = start[c] + path[c][d] - theta;
        if (least > start[d]) {
          start[d] = least;
          moved = true;
        }
      }
    if (!moved) return true;
  }
  return false;
}

SHUNT_CONSTEXPR ticks least_theta(std::vector<stage_group_starts> const& path, ticks low,
                                  ticks high, stage_group_starts& start) {
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    if (settles(path, middle, start))
      high = middle;
    else
      low = middle + 1;
  }
  settles(path, high, start);
  return high;
}

SHUNT_CONSTEXPR steady_state::steady_state(pipeline_job const& job,
                                           pipeline_schedule const& schedule,
                                           stage_groups const& in, operation_graph const& graph)
    : start(in.all.size(), 0),
      job_(job),
      schedule_(schedule),
      in_(in),
      graph_(graph),
      latest_(in.all.size(), operation_graph::none) {
  run();
  if (!schedule.staggered_step) return;
  ticks theta = cycle_mean();
  for (std::size_t runs = 0; runs <= in.all.size(); ++runs) {
    bool moved = false;
    for (std::size_t d = 0; d < start.size(); ++d) {
      if (latest_[d] == operation_graph::none) continue;
      ticks const least = times.end[static_cast<std::size_t>(latest_[d])] - theta;
      if (least <= start[d]) continue;
      start[d] = least;
      moved = true;
    }
    if (!moved) return;
    run();
    if (ticks const mean = cycle_mean(); mean > theta) {
      theta = mean;
      start.assign(start.size(), 0);
      run();
    }
  }
  start_from_paths();
  run();
}

SHUNT_CONSTEXPR void steady_state::run() {
  ++passes;
  times.run(job_, schedule_, in_, graph_, start);
  latest_.assign(latest_.size(), operation_graph::none);
  for (rank_id r : ids<rank_id>(graph_.last.size())) {
    std::int32_t const node = graph_.last[r];
    if (node < 0 || times.end[static_cast<std::size_t>(node)] < 0) continue;
    auto& latest = latest_[static_cast<std::size_t>(in_.of[r])];
    if (latest < 0 ||
        times.end[static_cast<std::size_t>(node)] > times.end[static_cast<std::size_t>(latest)])
      latest = node;
  }
}

SHUNT_CONSTEXPR std::size_t steady_state::origin_of(std::size_t d) const {
  for (auto i = static_cast<std::size_t>(latest_[d]);;) {
    auto const& n = graph_.nodes[i];
    ticks const at = times.end[i] - n.duration;
    auto const ends_at = [&](std::int32_t node, ticks delay) {
      return node >= 0 && times.end[static_cast<std::size_t>(node)] + delay == at;
    };
    auto const group = static_cast<std::size_t>(in_.of[n.rank]);
    std::int32_t const reduced = n.is_step ? times.last[n.stage.index()] : operation_graph::none;
    if (start[group] == at) return group;
    i = static_cast<std::size_t>(ends_at(n.before, 0)           ? n.before
                                 : ends_at(n.producer, n.delay) ? n.producer
                                 : ends_at(reduced, 0)          ? reduced
                                                                : n.second_producer);
  }
}

SHUNT_CONSTEXPR ticks steady_state::cycle_mean() const {
  std::vector<std::size_t> origin(start.size(), start.size());
  for (std::size_t d = 0; d < origin.size(); ++d)
    if (latest_[d] >= 0) origin[d] = origin_of(d);
  ticks largest = 0;
  std::vector<std::size_t> met(origin.size(), origin.size());  // by group: the first of its walk
  for (std::size_t first = 0; first < origin.size(); ++first) {
    std::size_t d = first;
    while (d < origin.size() && met[d] == origin.size()) {
      met[d] = first;
      d = origin[d];
    }
    if (d == origin.size() || met[d] != first) continue;
    ticks length = 0, groups = 0;
    for (std::size_t at = d; groups == 0 || at != d; at = origin[at], ++groups)
      length += times.end[static_cast<std::size_t>(latest_[at])] - start[origin[at]];
    largest = std::max(largest, ceil_divide(length, groups));
  }
  return largest;
}

SHUNT_CONSTEXPR void steady_state::start_from_paths() {
  std::vector<stage_group_starts> path;
  ticks low = 0, high = 0;  // Theta lies in [low, high]
  for (std::size_t c = 0; c < in_.all.size(); ++c) {
    start.assign(start.size(), no_start);
    start[c] = 0;
    run();
    auto& ends = path.emplace_back(start.size(), no_start);
    for (std::size_t d = 0; d < ends.size(); ++d)
      if (latest_[d] >= 0) ends[d] = times.end[static_cast<std::size_t>(latest_[d])];
    low = std::max(low, ends[c]);
    for (ticks const e : ends) high = std::max(high, e);
  }
  least_theta(path, low, high, start);
}

SHUNT_CONSTEXPR void require_match(pipeline_job const& job, pipeline_schedule const& schedule) {
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw std::invalid_argument(wrong);
}

SHUNT_CONSTEXPR void require_match(pipeline_schedule const& schedule, timetable const& table) {
  if (auto const wrong = mismatch(schedule, table); !wrong.empty())
    throw std::invalid_argument(wrong);
}

SHUNT_CONSTEXPR operation_graph executable_graph(pipeline_job const& job,
                                                 pipeline_schedule const& schedule) {
  require_match(job, schedule);
  auto graph = graph_of(job, schedule);
  if (!graph.executable())
    throw std::invalid_argument(
        "a schedule that can't be executed: its workers wait for each other");
  return graph;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR timetable times(pipeline_job const& job, pipeline_schedule const& schedule,
                                stage_group_starts const& start) {
  auto const graph = detail::executable_graph(job, schedule);
  detail::graph_times times;
  times.run(job, schedule, stage_groups(job), graph, start);
  return detail::table_of(schedule, graph, times.end);
}

SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                pipeline_schedule const& schedule) {
  stage_groups const in(job);
  if (!schedule.staggered_step) return stage_group_starts(in.all.size(), 0);
  return detail::steady_state(job, schedule, in, detail::executable_graph(job, schedule)).start;
}

SHUNT_CONSTEXPR timetable steady_times(pipeline_job const& job, pipeline_schedule const& schedule) {
  stage_groups const in(job);
  auto const graph = detail::executable_graph(job, schedule);
  return detail::table_of(schedule, graph,
                          detail::steady_state(job, schedule, in, graph).times.end);
}

}  // namespace shunt
