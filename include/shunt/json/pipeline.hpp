#pragma once
/// Pipeline jobs and schedules as JSON: `nlohmann::json document = job;` and
/// `document.get<shunt::pipeline_job>()`.
/// What was written reads back equal. Reading checks the form only; `validate` and `check` judge
/// the content.
/// Throws (read) invalid_problem, which names the path in the document.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/operation.hpp"
#include "shunt/json/parts.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// {"kind": "forward", "pipeline": 0, "stage": 1, "microbatch": 2}
inline void to_json(nlohmann::json& j, operation const& op) {
  j = {{"kind", to_string(op.kind)},
       {"pipeline", op.pipeline.value()},
       {"stage", op.stage.value()},
       {"microbatch", op.microbatch.value()}};
}
inline void read(json_reader const& here, operation& op) {
  here.only({"kind", "pipeline", "stage", "microbatch"});
  op = {here["kind"].name<op_kind>(op_kinds), here["pipeline"].id<pipeline_id>(),
        here["stage"].id<stage_id>(), here["microbatch"].id<microbatch_id>()};
}

/// A number, or a list with one number a stage, or one a worker.
inline void to_json(nlohmann::json& j, per_stage const& costs) {
  if (costs.size() == 1)
    j = costs[0];
  else
    j = costs.values();
}
inline void read(json_reader const& here, per_stage& costs) {
  if (!here.is_list()) {
    costs = per_stage(here.integer<ticks>());
    return;
  }
  std::vector<ticks> values;
  here.each([&](json_reader const& item) { values.push_back(item.integer<ticks>()); });
  costs = per_stage(std::move(values));
}

/// A number, or a list with one number a pipeline.
inline void to_json(nlohmann::json& j, per_pipeline const& counts) {
  if (counts.size() == 1)
    j = counts[0];
  else
    j = counts.values();
}
inline void read(json_reader const& here, per_pipeline& counts) {
  if (!here.is_list()) {
    counts = here.integer<std::int32_t>();
    return;
  }
  std::vector<std::int32_t> values;
  here.each([&](json_reader const& item) { values.push_back(item.integer<std::int32_t>()); });
  counts = per_pipeline(std::move(values));
}

/// A number for all pairs of ranks, or {"within_node": 1, "between_nodes": 5, "ranks_per_node": 8},
/// or {"matrix": [[0, 3], [3, 0]]}, a row a sender.
inline void to_json(nlohmann::json& j, transfer_times const& t) {
  if (!t.matrix.empty()) {
    auto rows = nlohmann::json::array();
    for (std::size_t i = 0; i < t.matrix.size(); ++i) {
      if (i % static_cast<std::size_t>(t.ranks) == 0) rows.push_back(nlohmann::json::array());
      rows.back().push_back(t.matrix[i]);
    }
    j = {{"matrix", std::move(rows)}};
  } else if (t == transfer_times(t.within_node))
    j = t.within_node;
  else
    j = {{"within_node", t.within_node},
         {"between_nodes", t.between_nodes},
         {"ranks_per_node", t.ranks_per_node}};
}
inline void read(json_reader const& here, transfer_times& t) {
  if (here.is_number()) {
    t = here.integer<ticks>();
    return;
  }
  if (here.has("matrix")) {
    here.only({"matrix"});
    std::int32_t ranks = 0;
    std::vector<ticks> from_to;
    here["matrix"].each([&](json_reader const& row) {
      ++ranks;
      row.each([&](json_reader const& time) { from_to.push_back(time.integer<ticks>()); });
    });
    if (from_to.size() != static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks))
      here["matrix"].refuse("has " + std::to_string(from_to.size()) + " values in " +
                            std::to_string(ranks) + " rows");
    t = transfer_times(ranks, std::move(from_to));
    return;
  }
  here.only({"within_node", "between_nodes", "ranks_per_node"});
  t = {here["within_node"].integer<ticks>(), here["between_nodes"].integer<ticks>(),
       here["ranks_per_node"].integer<std::int32_t>()};
}

/// "linear", "bidirectional", {"looped": chunks}, {"wave": chunks} or {"custom": [rank of each
/// worker]}.
inline void to_json(nlohmann::json& j, stage_layout const& layout) {
  using shape = stage_layout::shape;
  switch (layout.form()) {
    case shape::linear:
    case shape::bidirectional: j = to_string(layout.form()); return;
    case shape::looped:
    case shape::wave: j = {{to_string(layout.form()), layout.chunks()}}; return;
    case shape::custom: break;
  }
  auto ranks_of_workers = nlohmann::json::array();
  for (rank_id const r : layout.ranks_of_workers()) ranks_of_workers.push_back(r.value());
  j = {{"custom", std::move(ranks_of_workers)}};
}
inline void read(json_reader const& here, stage_layout& layout) {
  if (here.is_text("linear")) {
    layout = stage_layout::linear();
  } else if (here.is_text("bidirectional")) {
    layout = stage_layout::bidirectional();
  } else if (here.is_text()) {
    here.refuse("is no layout: linear, bidirectional, {looped: chunks}, {wave: chunks} or {custom: "
                "[ranks]}");
  } else if (here.has("looped")) {
    here.only({"looped"});
    layout = stage_layout::looped(here["looped"].integer<std::int32_t>());
  } else if (here.has("wave")) {
    here.only({"wave"});
    layout = stage_layout::wave(here["wave"].integer<std::int32_t>());
  } else {
    here.only({"custom"});
    std::vector<rank_id> ranks_of_workers;
    here["custom"].each([&](json_reader const& r) { ranks_of_workers.push_back(r.id<rank_id>()); });
    layout = stage_layout::custom(std::move(ranks_of_workers));
  }
}

/// A worker is [pipeline, stage]; memory is "none", "1f1b", a number, or a list with one number a
/// rank.
inline void to_json(nlohmann::json& j, pipeline_job const& job) {
  auto dead = nlohmann::json::array();
  for (worker const w : job.dead) dead.push_back({w.pipeline.value(), w.stage.value()});
  nlohmann::json memory = job.memory.limit;
  if (job.memory.rule == stash_cap::kind::per_rank) memory = job.memory.limits;
  if (job.memory.rule == stash_cap::kind::none) memory = "none";
  if (job.memory.rule == stash_cap::kind::one_f_one_b) memory = "1f1b";
  j = {{"pipelines", job.pipelines},
       {"stages", job.stages},
       {"microbatches", job.microbatches},
       {"costs",
        {{"forward", job.costs.forward},
         {"backward_input", job.costs.backward_input},
         {"backward_weight", job.costs.backward_weight},
         {"step", job.costs.step},
         {"overlap_gain", job.costs.overlap_gain}}},
       {"transfer", job.transfer},
       {"layout", job.layout},
       {"stash", {{"forward", job.stash.forward}, {"backward_input", job.stash.backward_input}}},
       {"memory", std::move(memory)},
       {"dead", std::move(dead)}};
  if (!job.lengths.empty()) j["lengths"] = job.lengths;
}
/// Everything after the three sizes may be missing and then has its default.
inline void read(json_reader const& here, pipeline_job& job) {
  here.only({"pipelines", "stages", "microbatches", "costs", "transfer", "layout", "stash",
             "memory", "dead", "lengths"});
  job = {.pipelines = here["pipelines"].integer<std::int32_t>(),
         .stages = here["stages"].integer<std::int32_t>()};
  read(here["microbatches"], job.microbatches);
  if (here.has("costs")) {
    auto const costs = here["costs"];
    costs.only({"forward", "backward_input", "backward_weight", "step", "overlap_gain"});
    for (auto const& [key, target] : {std::pair{"forward", &job.costs.forward},
                                      std::pair{"backward_input", &job.costs.backward_input},
                                      std::pair{"backward_weight", &job.costs.backward_weight},
                                      std::pair{"step", &job.costs.step}})
      if (costs.has(key)) read(costs[key], *target);
    if (costs.has("overlap_gain")) job.costs.overlap_gain = costs["overlap_gain"].integer<ticks>();
  }
  if (here.has("transfer")) read(here["transfer"], job.transfer);
  if (here.has("layout")) read(here["layout"], job.layout);
  if (here.has("stash")) {
    auto const stash = here["stash"];
    stash.only({"forward", "backward_input"});
    if (stash.has("forward")) read(stash["forward"], job.stash.forward);
    if (stash.has("backward_input")) read(stash["backward_input"], job.stash.backward_input);
  }
  if (here.has("memory")) {
    auto const memory = here["memory"];
    if (memory.is_text("none"))
      job.memory = stash_cap::none();
    else if (memory.is_text("1f1b"))
      job.memory = stash_cap::one_f_one_b();
    else if (!memory.is_list())
      job.memory = stash_cap::per_worker(memory.integer<std::int64_t>());
    else {
      std::vector<std::int64_t> limits;
      memory.each(
          [&](json_reader const& limit) { limits.push_back(limit.integer<std::int64_t>()); });
      job.memory = stash_cap::per_rank(std::move(limits));
    }
  }
  if (here.has("dead"))
    here["dead"].each([&](json_reader const& w) {
      job.dead.push_back({w.item(0, 2).id<pipeline_id>(), w.item(1, 2).id<stage_id>()});
    });
  if (here.has("lengths"))
    here["lengths"].each(
        [&](json_reader const& length) { job.lengths.push_back(length.integer<std::int32_t>()); });
}

namespace detail {

/// Reads the list of a rank: operations, indices of operations, or [start, end] of operations.
inline std::vector<operation> operations_of(json_reader const& here) {
  std::vector<operation> all;
  all.reserve(here.size());
  here.each([&](json_reader const& op) { read(op, all.emplace_back()); });
  return all;
}
inline std::vector<std::int32_t> indices_of(json_reader const& here) {
  std::vector<std::int32_t> all;
  here.each([&](json_reader const& i) { all.push_back(i.integer<std::int32_t>(0)); });
  return all;
}
inline std::vector<interval> times_of(json_reader const& here) {
  std::vector<interval> all;
  all.reserve(here.size());
  here.each([&](json_reader const& i) {
    all.push_back({i.item(0, 2).integer<ticks>(), i.item(1, 2).integer<ticks>()});
  });
  return all;
}

}  // namespace detail

/// {"staggered_step": false, "order": [[operation, ...] of rank 0, ...]}, and {"overlapped":
/// [[index, ...] of rank 0, ...]} where there are overlapped pairs.
inline void to_json(nlohmann::json& j, pipeline_schedule const& plan) {
  j = {{"staggered_step", plan.staggered_step}, {"order", plan.order.items()}};
  if (!plan.overlapped.empty()) j["overlapped"] = plan.overlapped.items();
}
/// Takes the lists of ranks.
inline bool take_part(json_part const& part, pipeline_schedule& plan) {
  if (part.is_element_of("order"))
    plan.order.push_back(detail::operations_of(part.after(plan.order.size())));
  else if (part.is_element_of("overlapped"))
    plan.overlapped.push_back(detail::indices_of(part.after(plan.overlapped.size())));
  else
    return false;
  return true;
}
inline void read_rest(json_reader const& here, pipeline_schedule& plan) {
  here.only({"staggered_step", "order", "overlapped"});
  plan.staggered_step = here["staggered_step"].boolean();
  here["order"].each(
      [&](json_reader const& list) { plan.order.push_back(detail::operations_of(list)); });
  if (here.has("overlapped"))
    here["overlapped"].each(
        [&](json_reader const& list) { plan.overlapped.push_back(detail::indices_of(list)); });
}
inline void read(json_reader const& here, pipeline_schedule& plan) {
  plan = {};
  read_rest(here, plan);
}

/// [[[start, end], ...] of rank 0, ...]
inline void to_json(nlohmann::json& j, timetable const& table) {
  j = nlohmann::json::array();
  for (auto const& rank : table.times) {
    auto& list = j.emplace_back(nlohmann::json::array());
    for (interval const i : rank) list.push_back({i.start, i.end});
  }
}
/// Takes the lists of ranks.
inline bool take_part(json_part const& part, timetable& table) {
  if (!part.is_element()) return false;
  table.times.push_back(detail::times_of(part.after(table.times.size())));
  return true;
}
inline void read_rest(json_reader const& here, timetable& table) {
  here.each([&](json_reader const& list) { table.times.push_back(detail::times_of(list)); });
}
inline void read(json_reader const& here, timetable& table) {
  table = {};
  read_rest(here, table);
}

}  // namespace shunt
