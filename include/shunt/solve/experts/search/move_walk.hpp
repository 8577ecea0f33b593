#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/splitmix64.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt::detail {

/// A random walk over the placements of one layer. Its energy is what the ranks hold above a target
/// load, summed, and a price for each move from the previous placement. A step gives a slot to
/// another expert or swaps two slots; it stays if the energy rises by no more than a slack that
/// falls to zero (threshold accepting). No step puts an expert on a rank twice or removes its last
/// replica. Loads are scaled to 31 bits in all, so that every platform walks alike.
class move_walk {
 public:
  /// How a walk is made. Parts of a mean rank's load: a move costs 1 / price of it, and the slack
  /// falls from 1 / slack of it.
  struct manner {
    double target = 1.01;  ///< the largest over mean load that is good enough
    std::int64_t price = 200;
    std::int64_t slack = 400;
    std::uint64_t seed = 1;
  };

  /// `homes`: the node of each expert's group, or nothing.
  /// Requires one layer with a previous placement, which lives longer.
  SHUNT_CONSTEXPR move_walk(expert_layers const& one, manner const& how,
                            std::vector<node_id> homes);

  /// Walks from a placement that holds every expert.
  SHUNT_CONSTEXPR void operator()(std::span<expert_id const> start, std::int64_t steps);

  /// Returns for each number of moves the placement with the least above the target, where the walk
  /// came by one that is better than all with fewer moves.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::vector<expert_id>> best() const;

 private:
  struct found {
    std::int64_t above = -1;  ///< -1: none
    std::vector<expert_id> slots{};
  };

  SHUNT_CONSTEXPR std::size_t roll(std::size_t bound);
  [[nodiscard]] constexpr bool has(std::size_t e, std::size_t r) const {
    return has_[e * load_.size() + r] > 0;
  }
  [[nodiscard]] constexpr bool had(std::size_t e, std::size_t r) const {
    return had_[e * load_.size() + r] != 0;
  }
  [[nodiscard]] SHUNT_CONSTEXPR bool may_go(std::size_t e, std::size_t r) const;
  [[nodiscard]] constexpr std::int64_t energy() const { return above_ + price_ * moves_; }
  SHUNT_CONSTEXPR void add(std::size_t rank, std::int64_t load);
  SHUNT_CONSTEXPR void put(std::size_t s, std::size_t b);
  SHUNT_CONSTEXPR void exchange(std::size_t s, std::size_t t);
  SHUNT_CONSTEXPR void hold(std::size_t e, std::size_t r, std::int32_t more);
  SHUNT_CONSTEXPR void place(std::span<expert_id const> slots);
  /// Makes a step, or none.
  SHUNT_CONSTEXPR void step(std::int64_t slack);
  SHUNT_CONSTEXPR void try_put(std::size_t s, std::size_t b, std::int64_t slack);
  SHUNT_CONSTEXPR void try_exchange(std::size_t s, std::size_t t, std::int64_t slack);
  SHUNT_CONSTEXPR void keep();

  std::span<expert_id const> before_;
  std::vector<std::size_t> rank_of_{}, first_{0}, live_{};
  std::vector<std::int64_t> weight_{}, load_, copies_;
  std::vector<std::int32_t> has_;
  std::vector<char> had_;
  std::vector<std::size_t> slots_{};
  std::vector<std::vector<std::size_t>> places_;  ///< the slots of each expert
  std::vector<node_id> homes_;
  std::int32_t ranks_per_node_;
  std::int64_t target_ = 0, price_ = 1, slack_ = 0, above_ = 0;
  std::int32_t moves_ = 0;
  splitmix64 random_;
  std::vector<found> best_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/move_walk.ipp"
#endif
