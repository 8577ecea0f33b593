#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {
class eplb_rule;
}

/// EPLB (DeepSeek) as TensorRT-LLM computes it (detail::eplb_rule has the rule). If the problem
/// binds experts to groups and has several nodes that divide the groups, whole groups are packed on
/// nodes first and the rule runs within each node (EPLB's hierarchical policy; ties in ascending
/// order of experts). Where the nodes do not divide the groups, EPLB takes its global policy, and
/// so does this: groups are then ignored, unless `keep_groups` is set.
/// Slots may differ between ranks and need no divisibility.
/// The rule may put two replicas of an expert on one rank, which wastes slots; `balanced` does so
/// only where it pays.
/// Infeasible: fewer slots than experts, or groups that no node has slots for.
/// Throws what validate throws.
/// Complexity: near O(E + S log N) per layer.
struct eplb {
  static constexpr std::string_view name = "eplb";

  /// Whether whole groups stay on one node even if the nodes do not divide them.
  bool keep_groups = false;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  // What `evaluated` finds, to the bit, from what the rule knows of its latest layer.
  static SHUNT_CONSTEXPR double max_over_mean_of(detail::eplb_rule const& rule, std::int32_t live);
  static SHUNT_CONSTEXPR double bound_of(detail::eplb_rule const& rule,
                                         expert_layers const& problem, layer_id l,
                                         std::int32_t live);

  static SHUNT_CONSTEXPR solution<expert_placement> hierarchical(expert_layers const& problem,
                                                                 solution<expert_placement> answer);
};
static_assert(solver_for<eplb, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/eplb.ipp"
#endif
