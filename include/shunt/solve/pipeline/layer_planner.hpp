#pragma once
/// Cuts a chain of layers into stages, lays these on the ranks and orders them, all together.
///
/// Orders the cuts with the least bounds by the search of `zero_bubble`, deals stages to any ranks,
/// cuts anew for what ranks idled, and moves borders of the best. Never worse than even numbers of
/// layers under interleaved 1F1B. Stops at the joint lower bound, or after `effort` operations. The
/// same plan on every platform. Minimises the makespan. Infeasible where a layer, or the whole
/// model, does not fit the memory; limit_reached where no cut was found that fits.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(effort log N), at least one order.
/// Reference: the joint choice of AdaPtis, arXiv 2509.23722; the orders of arXiv 2401.10241.
#include <cstdint>
#include <stop_token>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/solve/anytime.hpp"

namespace shunt {

/// Anytime solver of layer jobs: stages, layout and order with a joint lower bound.
struct layer_planner {
  static constexpr std::string_view name = "layer_planner";

  /// limit on the operations placed, over all cuts; about 0.1 us each
  std::int64_t effort = 500'000;
  std::int32_t most_chunks = 8;  ///< stages of a rank; more of them make more messages
  bool waves = true;             ///< false: no wave layouts, which Megatron lacks
  bool dealt = true;             ///< false: no custom layouts, in which stages are on any ranks

  /// Returns the best plan found and the joint lower bound, or the reason why there is none.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<layer_partition> operator()(layer_job const& job) const;
  /// As above. `stop` ends the search early; the answer is then the best so far.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<layer_partition> operator()(layer_job const& job,
                                                     std::stop_token stop) const;
};
static_assert(anytime_solver_for<layer_planner, layer_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/layer_planner.ipp"
#endif
