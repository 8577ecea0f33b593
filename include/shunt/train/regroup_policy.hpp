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

/// Forms as many whole pipelines of the original length as the live ranks can fill; the rest waits.
/// All go back to the last checkpoint. Pipelines with most live ranks stay, the earlier of equals;
/// other live ranks take the places of their dead ones: one that has the stage, or else the lowest.
///
/// Infeasible where the live ranks are fewer than a pipeline has.
/// Reference: Athlur et al., Varuna, EuroSys 2022: whole pipelines and checkpoints. Its choice of
/// another depth is not modelled.
template <solver_for<pipeline_job> Solver = one_f_one_b>
struct regroup_policy {
  static constexpr std::string_view name = "regroup";

  std::int64_t every = 10;  ///< iterations from one checkpoint to the next
  Solver solver{};

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return solver(job);
  }
};

/// Returns the arrangement that regroup_policy goes on with.
/// Throws invalid_problem where pipelines have different numbers of ranks.
[[nodiscard]] solution<arrangement> regrouped(situation const& s);

template <solver_for<pipeline_job> Solver>
solution<arrangement> regroup_policy<Solver>::operator()(situation const& s) const {
  return regrouped(s);
}
static_assert(training_policy<regroup_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/regroup_policy.ipp"
#endif
