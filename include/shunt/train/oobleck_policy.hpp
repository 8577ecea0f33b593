#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// Oobleck: after a loss the live ranks form pipelines of other lengths. A stage of the job is a
/// layer of the model. New pipelines come from oobleck_reconfigure, the layers of each rank from
/// oobleck_templates by the simulated cost, micro-batches from oobleck_batch by the makespan.
/// Layers come from any live rank that has them.
///
/// Infeasible where too few ranks are left for a pipeline of `minimum`, a joined pipeline has more
/// ranks than layers, or micro-batches are fewer than pipelines.
/// Reference: Jang et al., Oobleck, SOSP 2023.
template <solver_for<pipeline_job> Solver = one_f_one_b>
struct oobleck_policy {
  static constexpr std::string_view name = "oobleck";
  static constexpr std::int64_t every = 0;

  std::int32_t minimum = 1;  ///< n_min, ranks of the shortest pipeline
  Solver solver{};           ///< takes ranks of consecutive stages

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return solver(job);
  }
};

/// Returns the arrangement that oobleck_policy goes on with.
/// Throws invalid_problem where `minimum` is below 1.
[[nodiscard]] solution<arrangement> oobleck_arrangement(situation const& s, std::int32_t minimum);

template <solver_for<pipeline_job> Solver>
solution<arrangement> oobleck_policy<Solver>::operator()(situation const& s) const {
  return oobleck_arrangement(s, minimum);
}
static_assert(training_policy<oobleck_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/oobleck_policy.ipp"
#endif
