#pragma once
/// Which layers form a stage, and the schedule of the stages.
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// Layers first .. end-1.
struct layer_range {
  std::int32_t first = 0;
  std::int32_t end = 0;

  bool operator==(layer_range const&) const = default;
};

/// A chain of layers cut into stages. `job` is the pipeline job that the stages make: the ranks'
/// caps are the memory without the states of their layers, in bytes.
struct layer_partition {
  std::vector<layer_range> stages{};
  pipeline_job job{};
  pipeline_schedule schedule{};

  bool operator==(layer_partition const&) const = default;
};

/// Returns stages of equal numbers of layers; the first ones have one more where they don't divide.
/// Requires at least one stage.
[[nodiscard]] std::vector<layer_range> even_cut(std::int32_t layers, std::int32_t stages);

/// Returns the pipeline job of some stages: costs and stashes are sums over the layers of each,
/// positive ones at least 1. Where the memory has a limit, a rank's cap is what the states of its
/// layers leave of it, 0 or less where they don't fit: such a job is not valid.
/// Requires a valid job, a layout that fits its pipelines and the stages, and ranges of its layers.
[[nodiscard]] pipeline_job pipeline_job_of(layer_job const& job,
                                           std::vector<layer_range> const& stages,
                                           stage_layout const& layout);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/layer_partition.ipp"
#endif
