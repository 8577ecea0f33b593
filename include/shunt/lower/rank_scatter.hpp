#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Weight scatter of all layers for one rank, for ranks that plan every iteration anew: the same
/// instructions that lower(state, next, map, how) gives this rank. Ranks that get the same
/// placement write matching lists.
///
/// Shards are fixed, and so is most of every instruction; a placement changes only the peers. Make
/// it once per rank. A call allocates nothing unless its list is longer than all before.
///
/// Complexity: O(slots x shards of a rank + own slots x shards of an expert) per layer: with N
/// equal ranks the N-th part of the whole program.
class rank_scatter {
 public:
  /// `first_slot`: that of all later placements.
  /// Throws invalid_problem where sizes don't fit each other or the rank doesn't exist.
  SHUNT_CONSTEXPR rank_scatter(optimizer_state const& state, shard_map const& map,
                               std::span<std::int32_t const> first_slot, std::int32_t layers,
                               rank_id self, weight_scatter how = {});

  /// Returns this rank's list for a placement, valid until the next call.
  /// Throws invalid_problem where layers, experts or slots differ from those of the constructor.
  SHUNT_CONSTEXPR rank_program const& operator()(expert_placement const& next);

 private:
  struct part {
    rank_id owner{};
    byte_count source = 0, begin = 0, size = 0;  ///< offset at its owner, offset in the expert
  };
  struct expert_parts {
    std::vector<part> own{}, others{};
  };
  struct instance {
    std::int32_t expert = 0;
    std::int32_t slot = 0;   ///< counted over all ranks
    std::int32_t first = 0;  ///< the expert's first slot on this rank
    rank_id rank{};
  };

  /// Lists the instances that this rank serves or holds, and sizes the tables for the instructions.
  SHUNT_CONSTEXPR void count(expert_placement const& next);

  /// Lists the instances of a layer from place `end` on, by expert and then by slot, without those
  /// that another host copies by itself.
  /// Returns the new end.
  SHUNT_CONSTEXPR std::size_t list(std::span<expert_id const> expert_of, std::size_t end);

  /// Next instruction and region to write.
  struct place {
    instruction* i;
    region* r;
  };

  SHUNT_CONSTEXPR place write(layer_id l, place next) const;

  /// Whether the instance is copied from another slot of its rank.
  [[nodiscard]] SHUNT_CONSTEXPR bool repeats(instance const& x) const;
  [[nodiscard]] SHUNT_CONSTEXPR expert_parts const& of(std::int32_t e) const;

  rank_id self_;
  std::int32_t layers_;
  weight_scatter how_;
  byte_count whole_;  ///< bytes of an expert's weights
  std::vector<std::int32_t> first_slot_;
  std::vector<expert_parts> parts_;  ///< by expert
  std::vector<std::int32_t> next_;
  std::vector<std::int32_t> hosted_{}, in_order_{};  ///< slots by expert; slots ascending
  std::vector<rank_id> rank_of_{};
  std::vector<instance> listed_{};   ///< layer by layer
  std::vector<std::size_t> ends_{};  ///< ends of the layers in listed_
  rank_program program_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/rank_scatter.ipp"
#endif
