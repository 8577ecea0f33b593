#pragma once
#include "shunt/io/gantt.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_INLINE timeline iterations_of(timeline const& all, std::int32_t first, std::int32_t last) {
  timeline some{.seconds_per_tick = all.seconds_per_tick};
  for (auto const& e : all.events)
    if (e.iteration >= first && e.iteration <= last) some.events.push_back(e);
  return some;
}

SHUNT_INLINE timeline timeline_of(pipeline_schedule const& plan, timetable const& table,
                                  std::int32_t iteration) {
  if (auto const wrong = mismatch(plan, table); !wrong.empty()) throw std::invalid_argument(wrong);
  timeline promised;
  for (rank_id r : ids<rank_id>(plan.order.size()))
    for (std::size_t i = 0; i < plan.order[r].size(); ++i)
      promised.events.push_back({.rank = r,
                                 .iteration = iteration,
                                 .instruction = static_cast<std::int32_t>(i),
                                 .op = plan.order[r][i],
                                 .start = table.times[r][i].start,
                                 .end = table.times[r][i].end});
  return promised;
}

SHUNT_INLINE timeline steady_timeline(pipeline_schedule const& plan, timetable const& table,
                                      ticks period, std::int32_t count) {
  timeline all;
  for (std::int32_t n = 0; n < count; ++n)
    for (auto e : timeline_of(plan, table, n).events) {
      e.start += n * period;
      e.end += n * period;
      all.events.push_back(e);
    }
  return all;
}

SHUNT_INLINE timeline timeline_of(redundant_schedule const& plan,
                                  redundant_timetable const& table) {
  auto const plain = timeline_of(plan.plain, table.plain);
  auto const wrong = [&] {
    if (plan.redundant.size() != plan.plain.order.size() ||
        table.redundant.size() != plan.redundant.size())
      return true;
    for (rank_id r : ids<rank_id>(plan.redundant.size()))
      if (table.redundant[r].size() != plan.redundant[r].size()) return true;
    return false;
  }();
  if (wrong) throw std::invalid_argument("redundant forwards without a time each");
  timeline all;
  indexed<rank_id, std::size_t> next(plan.redundant.size(), 0);
  for (auto const& e : plain.events) {
    auto const& extra = plan.redundant[e.rank];
    for (auto& i = next[e.rank]; i < extra.size() && extra[i].before <= e.instruction; ++i) {
      auto const [start, end] = table.redundant[e.rank][i];
      all.events.push_back({.rank = e.rank,
                            .instruction = e.instruction,
                            .op = extra[i].forward,
                            .start = start,
                            .end = end});
      all.events.back().op.kind = op_kind::redundant_forward;
    }
    all.events.push_back(e);
  }
  return all;
}

}  // namespace shunt

namespace shunt::detail {

// Marks computations of a row with equal times as overlapped pairs.
SHUNT_INLINE void find_pairs(gantt& chart) {
  for (std::size_t i = 1; i < chart.bars.size(); ++i) {
    auto &a = chart.bars[i - 1], &b = chart.bars[i];
    bool const computed = a.code == opcode::compute && b.code == opcode::compute &&
                          a.op.kind != op_kind::step && b.op.kind != op_kind::step;
    if (!computed || a.row != b.row || a.start != b.start || a.end != b.end || a.start == a.end ||
        a.part != gantt::bar::share::whole)
      continue;
    a.part = gantt::bar::share::first;
    b.part = gantt::bar::share::second;
  }
}

SHUNT_INLINE std::string name_of(pipeline_job const& job, rank_id r,
                                 std::vector<worker> const& workers) {
  auto const name_of_worker = [&](worker const& w) {
    return (job.pipelines > 1 || workers.size() == 1 ? std::to_string(w.pipeline.value()) + ":"
                                                     : std::string()) +
           std::to_string(w.stage.value());
  };
  if (workers.size() == 1) return name_of_worker(workers[0]);
  std::string name = "rank " + std::to_string(r.value()) + (job.pipelines > 1 ? ": " : ": stages ");
  for (std::size_t i = 0; i < std::min<std::size_t>(workers.size(), 4); ++i)
    name += (i > 0 ? ", " : "") + name_of_worker(workers[i]);
  if (workers.size() > 4) name += " + " + std::to_string(workers.size() - 4);
  return name;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE gantt gantt_of(timeline const& events, bool transfers) {
  gantt chart{.seconds_per_tick = events.seconds_per_tick};
  std::map<rank_id, std::size_t> row_of;
  for (auto const& e : events.events) row_of.try_emplace(e.rank);
  for (auto& [rank, row] : row_of) {
    row = chart.rows.size();
    chart.rows.push_back({.label = "rank " + std::to_string(rank.value())});
  }
  bool first = true;
  for (auto const& e : events.events) {
    if (e.code != opcode::compute && !transfers) continue;
    chart.bars.push_back({row_of[e.rank], e.start, e.end, e.code, e.op, e.iteration});
    chart.start = first ? e.start : std::min(chart.start, e.start);
    chart.end = first ? e.end : std::max(chart.end, e.end);
    first = false;
  }
  detail::find_pairs(chart);
  return chart;
}

SHUNT_INLINE gantt gantt_of(pipeline_job const& job, timeline const& events, bool transfers) {
  auto chart = gantt_of(events, transfers);
  for (auto const& e : events.events)
    if (e.rank.value() < 0 || e.rank.value() >= job.ranks())
      throw std::invalid_argument("an event of rank " + std::to_string(e.rank.value()) +
                                  ", the job has " + std::to_string(job.ranks()));
  chart.rows.clear();
  chart.bidirectional = job.layout.form() == stage_layout::shape::bidirectional;
  indexed<rank_id, std::vector<worker>> workers(static_cast<std::size_t>(job.ranks()));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) workers[job.rank_of({p, s})].push_back({p, s});
  for (rank_id r : ids<rank_id>(job.ranks())) {
    chart.rows.push_back({.label = detail::name_of(job, r, workers[r])});
    if (!job.alive(r)) chart.rows.back().dead_from = chart.start;
  }
  std::size_t next = 0;
  for (auto const& e : events.events) {
    if (e.code != opcode::compute && !transfers) continue;
    auto& bar = chart.bars[next++];
    bar.row = e.rank.index();
    if (e.code == opcode::compute && is_of_microbatch(e.op.kind)) {
      auto const& own = workers[e.rank];
      auto const own_worker = std::find(own.begin(), own.end(), worker{e.op.pipeline, e.op.stage});
      bar.rerouted = own_worker == own.end();
      auto const host = bar.rerouted
                            ? std::find_if(own.begin(), own.end(),
                                           [&](worker const& w) { return w.stage == e.op.stage; })
                            : own_worker;
      bar.chunk = host == own.end() ? 0 : static_cast<std::int32_t>(host - own.begin());
      bar.redundant = e.op.kind == op_kind::redundant_forward;
      bar.rerouted = bar.rerouted && !bar.redundant;
    }
    if (auto& dead = chart.rows[bar.row].dead_from) dead = std::max(*dead, e.end);
  }
  return chart;
}

SHUNT_INLINE gantt gantt_of(pipeline_job const& job, pipeline_schedule const& plan,
                            timetable const& table) {
  return gantt_of(job, timeline_of(plan, table));
}

}  // namespace shunt
