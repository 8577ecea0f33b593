#pragma once
#include "shunt/plan/layer_partition.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace shunt {

SHUNT_INLINE std::vector<layer_range> even_cut(std::int32_t layers, std::int32_t stages) {
  std::vector<layer_range> cut;
  for (std::int32_t s = 0, first = 0; s < stages; ++s) {
    cut.push_back({first, first + layers / stages + (s < layers % stages)});
    first = cut.back().end;
  }
  return cut;
}

SHUNT_INLINE pipeline_job pipeline_job_of(layer_job const& job,
                                          std::vector<layer_range> const& stages,
                                          stage_layout const& layout) {
  std::vector<ticks> forward, input, weight;
  std::vector<std::int64_t> stash, states;
  for (layer_range const& s : stages) {
    ticks f = 0, i = 0, w = 0;
    byte_count state = 0, activation = 0;
    for (auto l = static_cast<std::size_t>(s.first); l < static_cast<std::size_t>(s.end); ++l) {
      auto const& layer = job.layers[l];
      f += layer.forward, i += layer.backward_input, w += layer.backward_weight;
      state += layer.state_bytes, activation += layer.activation_bytes;
    }
    forward.push_back(std::max<ticks>(1, f));
    input.push_back(std::max<ticks>(1, i));
    weight.push_back(w);
    stash.push_back(std::max<std::int64_t>(1, activation));
    states.push_back(state);
  }
  pipeline_job made{.pipelines = job.pipelines,
                    .stages = static_cast<std::int32_t>(stages.size()),
                    .microbatches = job.microbatches,
                    .costs = {.forward = per_stage(std::move(forward)),
                              .backward_input = per_stage(std::move(input)),
                              .backward_weight = per_stage(std::move(weight))},
                    .transfer = job.transfer,
                    .layout = layout,
                    .stash = {.forward = per_stage(std::move(stash))}};
  if (job.memory == 0) return made;
  std::vector<std::int64_t> caps(static_cast<std::size_t>(made.ranks()), job.memory);
  for (std::int32_t p = 0; p < made.pipelines; ++p)
    for (std::int32_t s = 0; s < made.stages; ++s)
      caps[made.rank_of({p, s}).index()] -= states[static_cast<std::size_t>(s)];
  made.memory = stash_cap::per_rank(std::move(caps));
  return made;
}

}  // namespace shunt
