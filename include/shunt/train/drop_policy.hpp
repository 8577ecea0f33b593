#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_policy.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// Drops every pipeline that has lost a rank; its live ranks wait. The others share its
/// micro-batches evenly, so the batch stays whole. No state moves.
///
/// Infeasible where no pipeline is whole.
/// Reference: TorchFT, fault tolerance by replica groups. There the batch shrinks instead.
struct drop_rule {
  static constexpr std::string_view name = "drop";
  static constexpr std::int64_t every = 0;

  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
};

template <solver_for<pipeline_job> Solver = one_f_one_b>
using drop_policy = planned_policy<drop_rule, Solver>;
static_assert(training_policy<drop_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/drop_policy.ipp"
#endif
