#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_policy.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// Forms as many whole pipelines of the original length as the live ranks can fill; the rest waits.
/// All go back to the last checkpoint. Which pipelines stay, and who takes a dead rank's place, is
/// said at `refilled`.
///
/// Infeasible where the live ranks are fewer than a pipeline has.
/// Reference: Athlur et al., Varuna, EuroSys 2022: whole pipelines and checkpoints. Its choice of
/// another depth is not modelled.
struct regroup_rule {
  static constexpr std::string_view name = "regroup";

  std::int64_t every = 10;  ///< iterations from one checkpoint to the next

  /// Throws invalid_problem where pipelines have different numbers of ranks.
  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
};

template <solver_for<pipeline_job> Solver = one_f_one_b>
using regroup_policy = planned_policy<regroup_rule, Solver>;
static_assert(training_policy<regroup_policy<>>);

/// Returns `kept` of these pipelines, those with most live ranks, the earlier of equals. Other live
/// ranks take the places of their dead ones: the lowest that has the state of the place's first
/// stage, or else the lowest. Negative ranks are empty places and count as dead.
/// Requires that the live ranks suffice, and that each rank is in one pipeline.
[[nodiscard]] worker_ranks refilled(worker_ranks const& pipelines, std::size_t kept,
                                    situation const& s);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/regroup_policy.ipp"
#endif
