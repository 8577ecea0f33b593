#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The consecutive stages of one pipeline that a rank runs, and its place in the chain of the
/// pipeline's ranks.
struct stage_run {
  pipeline_id pipeline{};
  stage_id first{}, last{};
  std::int32_t place = 0;  ///< from 0, the rank with stage 0
  std::int32_t ranks = 0;  ///< of the pipeline

  bool operator==(stage_run const&) const = default;
};

/// Returns the run of every rank, or no runs where a rank has stages of two pipelines, or stages of
/// one that aren't consecutive. Under a linear layout every run is one stage. Under a custom one
/// ranks may have any numbers, and pipelines different numbers of ranks.
/// Requires a valid job, but for its caps.
/// Complexity: O(workers).
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, stage_run> runs_of(pipeline_job const& job);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/stage_runs.ipp"
#endif
