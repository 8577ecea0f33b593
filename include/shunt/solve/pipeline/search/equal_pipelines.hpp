#pragma once
/// Pipelines that are copies of each other: one is planned for all.
#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// Returns whether no rank is dead, no two pipelines share a rank, and costs, micro-batches, caps
/// and links are the same for all pipelines. Then a plan of one pipeline is a plan of each. No plan
/// that keeps micro-batches on their own ranks has a smaller period than the best plan of one.
[[nodiscard]] SHUNT_CONSTEXPR bool pipelines_are_equal(pipeline_job const& job);

/// Returns the job with its first pipeline alone, under a layout that numbers its ranks from 0.
[[nodiscard]] SHUNT_CONSTEXPR pipeline_job first_pipeline(pipeline_job job);

/// Returns the plan of the first pipeline, copied to all pipelines of the job.
[[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule copied_to_all(pipeline_job const& job,
                                                              pipeline_schedule const& first);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/equal_pipelines.ipp"
#endif
