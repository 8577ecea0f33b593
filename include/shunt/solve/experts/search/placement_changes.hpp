#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"

namespace shunt::detail {

/// Changes of one layer's placement: a slot is given to another expert, or two experts on two ranks
/// are swapped. No change puts an expert on a rank twice or removes an expert's last replica. Moves
/// are experts that ranks newly receive, counted from the previous placement.
class placement_changes {
 public:
  /// `price`: the least fall of the score for a move.
  /// Requires that `state` lives longer.
  SHUNT_CONSTEXPR placement_changes(expert_layers const& problem, windowed_placement& state,
                                    double price);

  /// Takes what ranks hold. -1: nothing.
  SHUNT_CONSTEXPR void begin(std::span<expert_id const> before);

  /// Returns the node of each expert's group, or nothing if experts may go anywhere.
  static SHUNT_CONSTEXPR std::vector<node_id> homes_of(expert_layers const& problem,
                                                       expert_placement const& plan, layer_id l);
  /// From now on replicas only go to the node of their expert.
  constexpr void go_home(std::vector<node_id> const& homes) { homes_ = homes; }

  /// Returns the experts that ranks have newly received.
  /// Complexity: O(slots).
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t moved() const;

  /// Gives each expert without a slot one, then fills the empty slots.
  /// Returns the slots given.
  SHUNT_CONSTEXPR std::int32_t complete();

  /// Makes the change that lowers the score most per move, of at most `left` moves. `net`: a move
  /// is what it adds to moved(), from -1; otherwise every slot given is one.
  /// Returns the moves taken, 0 if no change gains more than the price (a change may take 0, too).
  SHUNT_CONSTEXPR std::int32_t change(std::int32_t left, bool net);

  /// Makes net changes while one gains and fits; each lowers the score, and at most 2 S are made.
  SHUNT_CONSTEXPR void refine(std::int32_t left);

  /// Brings an expert that a rank newly has to another rank, which loses one for it; its slot gets
  /// an expert that its rank had. No move is added. Makes the one that lowers the score most.
  /// Returns false where none lowers it.
  SHUNT_CONSTEXPR bool relocate();

  /// Takes back the change that raises the score least for each move saved.
  /// Returns the moves saved, 0 if no more can be taken back.
  SHUNT_CONSTEXPR std::int32_t take_back();

 private:
  [[nodiscard]] SHUNT_CONSTEXPR bool may_go(std::size_t e, std::size_t s) const;
  [[nodiscard]] constexpr bool had(std::size_t e, std::size_t rank) const {
    return had_[rank * state_.experts() + e] != 0;
  }
  /// Returns what the change of slot s from expert a to b adds to moved().
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t cost(std::size_t s, std::size_t a,
                                                  std::size_t b) const;

  windowed_placement& state_;
  double price_;
  std::int32_t ranks_per_node_;
  std::vector<char> had_;  ///< by rank and expert
  std::vector<node_id> homes_{};
};

/// Returns the previous placement of a layer with every expert in a slot and no slot empty, as
/// `placement_changes::complete` has it.
/// Requires `previous`, and as many slots as experts.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<expert_id> completed_previous(
    expert_layers const& problem, layer_id l);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/placement_changes.ipp"
#endif
