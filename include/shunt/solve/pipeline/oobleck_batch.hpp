#pragma once
/// Distribution of an iteration's micro-batches over pipelines of different templates.
/// Reference: Jang et al., Oobleck, SOSP 2023, section 4.2.2.
#include <cstdint>
#include <span>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/batch_split.hpp"
#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/batch_problem.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// What a distribution of micro-batches keeps small.
enum class batch_objective : std::uint8_t {
  /// The longest 1F1B makespan of a pipeline (`one_f_one_b_makespan`).
  makespan,
  /// As published: pipelines of a template get the same number n >= 1 of micro-batches, and the
  /// sum over templates of (T n / S - mean)^2 is least. The mean is over templates, not over
  /// pipelines. Of equal sums the first in lexicographic order.
  published,
};

/// Splits a batch exactly. Objective: as configured; the answer is optimal.
/// Infeasible if no numbers of micro-batches make the batch.
/// Throws invalid_problem if the problem is broken.
/// Complexity: makespan: O(log B) simulated pipelines a template; published: a search over numbers
/// near the continuous optimum, exponential in the number of templates only.
struct oobleck_batch {
  static constexpr std::string_view name = "oobleck_batch";

  batch_objective objective = batch_objective::makespan;
  bool alike = false;  ///< the same number for all pipelines of a template; published always has it

  [[nodiscard]] solution<batch_split> operator()(batch_problem const& problem) const;
};
static_assert(solver_for<oobleck_batch, batch_problem>);

/// Returns the longest time of a pipeline in an iteration: by `makespan` the longest 1F1B, by
/// `published` the largest T n, which is not divided by the number of stages.
/// Requires a split of this problem.
[[nodiscard]] double iteration_time(batch_problem const& problem, batch_split const& split,
                                    batch_objective objective);

/// Returns the problem of distributing a batch over pipelines of these numbers of nodes, each
/// template once, ascending.
/// Throws invalid_problem where a number has no template.
[[nodiscard]] batch_problem batch_over(template_problem const& problem,
                                       template_set const& templates,
                                       std::span<std::int32_t const> nodes, std::int64_t batch);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/oobleck_batch.ipp"
#endif
