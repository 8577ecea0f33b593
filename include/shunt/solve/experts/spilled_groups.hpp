#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Keeps each group of experts on one node, but lets a few replicas of a hot group spill over to
/// other nodes: at most `limit` slots of a layer, as spilled_replicas counts them, beyond those of
/// `first`. Whole groups cannot be packed better than the node with the most tokens allows (the
/// floor of EPLB's hierarchical policy); spilling goes below that floor. Never worse than `first`.
/// Starts from `first` and makes changes that relieve the fullest rank: a slot given to another
/// expert or two slots swapped, such that no rank becomes fuller than that one, no expert is on a
/// rank twice, and the sum of squared rank loads falls most. Changes that spill nothing are made
/// first; one more replica spills if there is none of these. If the placement of `first` without
/// groups spills no more than the limit, the better one is the answer. Without groups or with one
/// node the answer is that of `first`. Infeasible as `first`.
/// Ends after some 2^31 visits of a (slot, rank) pair, which layers of more than 10^5 experts on
/// 1,000 ranks reach at once: they get the better of the two placements of `first`.
/// Throws what validate and `first` throw, and invalid_problem("limit") if it is below 0.
/// Complexity: O(S s R + s E R) per change for S slots on R ranks of s, some S changes.
struct spilled_groups {
  static constexpr std::string_view name = "spilled_groups";

  /// Replicas of a layer away from their group's node, beyond those of `first`; 0: as `first`.
  std::int32_t limit = 8;
  balanced first{};

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  static constexpr std::int64_t most_visits = std::int64_t{1} << 31;

  /// Returns the visits of one change if ranks have about as many slots each.
  static SHUNT_CONSTEXPR std::int64_t visits_of_a_change(expert_layers const& problem);

  /// One layer. Loads are scaled so that all its tokens are below 2^31 and the sum of squared rank
  /// loads fits 64 bits.
  class layer_state {
   public:
    SHUNT_CONSTEXPR explicit layer_state(expert_layers const& problem);

    SHUNT_CONSTEXPR void place(expert_layers const& problem, expert_placement const& plan,
                               layer_id l);

    [[nodiscard]] constexpr std::span<expert_id const> slots() const { return slots_; }

    /// Makes the best change after which at most `most` replicas are spilled, or no more than
    /// before.
    /// Returns false if there is none.
    SHUNT_CONSTEXPR bool relieve(std::int32_t most);

   private:
    struct candidate {
      std::int64_t squares = 0;
      std::size_t slot = 0, other = 0;  ///< and the other slot, or the new expert
      bool swaps = false;
    };

    SHUNT_CONSTEXPR std::int32_t away(std::size_t e, std::size_t rank) const;
    SHUNT_CONSTEXPR std::size_t first_of(std::size_t rank) const;
    static SHUNT_CONSTEXPR std::int64_t squares(std::span<std::int64_t const> loads);
    SHUNT_CONSTEXPR bool allowed(std::int32_t more, std::int32_t most) const;

    SHUNT_CONSTEXPR void consider_gift(std::size_t s, std::size_t b, std::size_t fullest,
                                       std::int32_t most);

    SHUNT_CONSTEXPR void consider_swap(std::size_t s, std::size_t t, std::size_t fullest,
                                       std::int32_t most);

    SHUNT_CONSTEXPR std::size_t set(std::size_t s, std::size_t e);

    SHUNT_CONSTEXPR void add_up();

    std::size_t experts_, ranks_;
    std::vector<std::int64_t> weight_, load_, after_, copies_;
    std::vector<std::int32_t> has_;  ///< experts x ranks: replicas
    std::vector<std::size_t> rank_of_{};
    std::vector<node_id> node_of_{}, home_{};  ///< of a rank, of an expert
    std::vector<std::int32_t> sizes_{};        ///< of groups
    std::vector<expert_id> slots_{};
    std::int32_t spilled_ = 0;
    std::size_t changes_ = 0;
    std::int64_t visits_ = 0;
    candidate best_{};
  };
};
static_assert(solver_for<spilled_groups, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/spilled_groups.ipp"
#endif
