#pragma once
/// Stages that every pipeline has on one rank each, as one stage: layers that stay together are
/// planned as one, and the plan is then spread over them. Times stay the same.
/// Complexity: linear in workers and operations.
#include <cstdint>
#include <vector>

#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt::detail {

/// Stage k of the merged job is the stages borders[k] .. borders[k + 1] - 1.
using merged_borders = std::vector<std::int32_t>;

/// Returns the borders between stages that some pipeline has on two ranks.
[[nodiscard]] merged_borders borders_of(pipeline_job const& job);

/// Returns the sums of a list of costs or weights, by merged stage or by worker of one.
[[nodiscard]] per_stage summed(per_stage const& list, merged_borders const& borders);

/// Returns the job of the merged stages.
/// Requires the job's own borders, or fewer of its stages apart.
[[nodiscard]] pipeline_job merged(pipeline_job const& job, merged_borders const& borders);

/// Appends an operation of the merged stage k to a list, as those of its stages: forwards ascend,
/// all others descend.
void append_spread(std::vector<operation>& list, operation o, std::int32_t first, std::int32_t end);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/merged_stages.ipp"
#endif
