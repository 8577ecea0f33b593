#pragma once
/// Layer jobs and partitions as JSON: `nlohmann::json document = job;` and
/// `document.get<shunt::layer_job>()`.
/// What was written reads back equal. Reading checks the form only; `validate` and `check` judge
/// the content.
/// Throws (read) invalid_problem, which names the path in the document.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// {"name": "loss", "forward": 3, "backward_input": 3, "backward_weight": 3, "state_bytes": 0,
/// "activation_bytes": 0}
inline void to_json(nlohmann::json& j, model_layer const& layer) {
  j = {{"name", layer.name},
       {"forward", layer.forward},
       {"backward_input", layer.backward_input},
       {"backward_weight", layer.backward_weight},
       {"state_bytes", layer.state_bytes},
       {"activation_bytes", layer.activation_bytes}};
}
/// The name and the bytes may be missing.
inline void read(json_reader const& here, model_layer& layer) {
  here.only(
      {"name", "forward", "backward_input", "backward_weight", "state_bytes", "activation_bytes"});
  layer = {.forward = here["forward"].integer<ticks>(),
           .backward_input = here["backward_input"].integer<ticks>(),
           .backward_weight = here["backward_weight"].integer<ticks>()};
  if (here.has("name")) layer.name = here["name"].string();
  if (here.has("state_bytes")) layer.state_bytes = here["state_bytes"].integer<byte_count>();
  if (here.has("activation_bytes"))
    layer.activation_bytes = here["activation_bytes"].integer<byte_count>();
}

/// {"layers": [...], "ranks": 4, "microbatches": 16, "pipelines": 1, "transfer": 0, "memory": 0}
inline void to_json(nlohmann::json& j, layer_job const& job) {
  j = {{"layers", job.layers},       {"ranks", job.ranks},       {"microbatches", job.microbatches},
       {"pipelines", job.pipelines}, {"transfer", job.transfer}, {"memory", job.memory}};
}
/// The last three may be missing.
inline void read(json_reader const& here, layer_job& job) {
  here.only({"layers", "ranks", "microbatches", "pipelines", "transfer", "memory"});
  job = {.ranks = here["ranks"].integer<std::int32_t>(),
         .microbatches = here["microbatches"].integer<std::int32_t>()};
  here["layers"].each([&](json_reader const& l) { read(l, job.layers.emplace_back()); });
  if (here.has("pipelines")) job.pipelines = here["pipelines"].integer<std::int32_t>();
  if (here.has("transfer")) job.transfer = here["transfer"].integer<ticks>();
  if (here.has("memory")) job.memory = here["memory"].integer<byte_count>();
}

/// {"stages": [[0, 3], [3, 4]], "job": a pipeline job, "schedule": a pipeline schedule}
inline void to_json(nlohmann::json& j, layer_partition const& plan) {
  auto stages = nlohmann::json::array();
  for (auto const [first, end] : plan.stages) stages.push_back({first, end});
  j = {{"stages", std::move(stages)}, {"job", plan.job}, {"schedule", plan.schedule}};
}
inline void read(json_reader const& here, layer_partition& plan) {
  here.only({"stages", "job", "schedule"});
  plan = {};
  here["stages"].each([&](json_reader const& s) {
    plan.stages.push_back(
        {s.item(0, 2).integer<std::int32_t>(), s.item(1, 2).integer<std::int32_t>()});
  });
  read(here["job"], plan.job);
  read(here["schedule"], plan.schedule);
}

}  // namespace shunt
