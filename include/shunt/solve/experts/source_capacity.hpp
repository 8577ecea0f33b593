#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// The token split of DeepSpeed-MoE: every source rank has room of its own for every expert.
/// A source with T tokens keeps at most C = max(ceil(T/E x capacity factor), min_capacity) of those
/// that it routes to an expert. All of them go to one replica: that of the source's group. Groups
/// are E consecutive slots; source i belongs to group first_slot[i] / E, and group g uses replica g
/// mod r of an expert with r replicas. Under `uniform`, where each rank has s slots, s divides E
/// and E/s divides the ranks, these are the expert-parallel groups of E/s consecutive ranks.
/// `capacity` of the problem is not used, for slots take what sources keep.
/// The split counts tokens; random_claimants says which ones are kept.
/// Objective: tokens dropped; the lower bound, what no source has room for, is always met.
/// Infeasible: an expert that has tokens but no slot.
/// Throws what validate throws, and invalid_problem that names a setting out of range.
/// Complexity: O(ranks x (slots + experts)).
/// Reference: Rajbhandari et al., DeepSpeed-MoE, ICML 2022; DeepSpeed, `sharded_moe.py`.
struct source_capacity {
  static constexpr std::string_view name = "source_capacity";

  capacity_factor factor{};
  std::int64_t min_capacity = 4;  ///< DeepSpeed's default
  std::uint64_t seed = 0;         ///< of the choice among claimants

  /// Returns C, the tokens that a source of `tokens` tokens keeps for each expert.
  /// Throws what slot_capacity throws, and invalid_problem if `min_capacity` is below 0.
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t room(std::int64_t tokens, std::int32_t experts) const;

  [[nodiscard]] SHUNT_CONSTEXPR solution<token_split> operator()(
      routed_tokens const& problem) const;

  bool operator==(source_capacity const&) const = default;
};
static_assert(solver_for<source_capacity, routed_tokens>);

/// One source's tokens in a layer and iteration.
struct token_source {
  std::int64_t iteration = 0;
  layer_id layer{};
  rank_id source{};
};

/// Returns the tokens of a source that are kept if each expert takes `room` of them, ascending.
/// `expert` has the expert of each token. Claimants are ordered by uniform noise, a function of the
/// seed, iteration, layer, source and token alone, and the first `room` of each expert are kept. So
/// each is kept with the same probability, and every engine keeps the same ones.
/// Throws std::invalid_argument if a token's expert is not below `experts`.
/// Complexity: O(tokens log tokens + experts).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> random_claimants(
    std::span<std::int32_t const> expert, std::int32_t experts, std::int64_t room,
    std::uint64_t seed, token_source const& of);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/source_capacity.ipp"
#endif
