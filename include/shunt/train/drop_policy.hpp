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

/// Drops every pipeline that has lost a rank; its live ranks wait. The others share its
/// micro-batches evenly, so the batch stays whole. No state moves.
///
/// Infeasible where no pipeline is whole.
/// Reference: TorchFT, fault tolerance by replica groups. There the batch shrinks instead.
template <solver_for<pipeline_job> Solver = one_f_one_b>
struct drop_policy {
  static constexpr std::string_view name = "drop";
  static constexpr std::int64_t every = 0;

  Solver solver{};

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return solver(job);
  }
};

/// Returns the arrangement that drop_policy goes on with.
[[nodiscard]] solution<arrangement> whole_pipelines(situation const& s);

template <solver_for<pipeline_job> Solver>
solution<arrangement> drop_policy<Solver>::operator()(situation const& s) const {
  return whole_pipelines(s);
}
static_assert(training_policy<drop_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/drop_policy.ipp"
#endif
