#pragma once
/// Which templates to run, each how often, so that every node has work.
/// Reference: Jang et al., Oobleck, SOSP 2023, section 4.2.
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_instances.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_batch.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Looks at every multiset of templates whose nodes sum to the problem's, distributes the batch
/// over each (`oobleck_batch`) and takes the least time of an iteration: that of the longest
/// pipeline, plus the all-reduce of layer 0 over the pipelines. Ties go to fewer pipelines of the
/// largest template, then of the next one. A multiset that cannot make the batch is left out.
///
/// Objective: the time of an iteration. Infeasible if no multiset fits; limit_reached, with the
/// best plan so far, after `most_multisets`.
/// Throws invalid_problem if the problem or the configuration is broken.
/// Complexity: exponential in the nodes: 8,349 multisets for 32 nodes and templates from 1 on.
struct oobleck_instances {
  static constexpr std::string_view name = "oobleck_instances";

  template_set templates{};
  std::int64_t batch = 1;  ///< B, micro-batches of an iteration
  batch_objective objective = batch_objective::makespan;
  std::int32_t failures = 0;  ///< f, to be survived at once: at least f + 1 pipelines
  /// All-reduce of layer 0 over 1, 2, 3 ... pipelines. Beyond the list: the last value; empty: 0.
  std::vector<double> across_pipelines{};
  std::int64_t most_multisets = 1'000'000;

  [[nodiscard]] solution<pipeline_instances> operator()(template_problem const& problem) const;
};
static_assert(solver_for<oobleck_instances, template_problem>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/oobleck_instances.ipp"
#endif
