#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_policy.hpp"
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
struct oobleck_rule {
  static constexpr std::string_view name = "oobleck";
  static constexpr std::int64_t every = 0;

  std::int32_t minimum = 1;  ///< n_min, ranks of the shortest pipeline

  /// Throws invalid_problem where `minimum` is below 1.
  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
};

/// The solver takes ranks of consecutive stages.
template <solver_for<pipeline_job> Solver = one_f_one_b>
using oobleck_policy = planned_policy<oobleck_rule, Solver>;
static_assert(training_policy<oobleck_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/oobleck_policy.ipp"
#endif
