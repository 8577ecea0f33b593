#pragma once
/// After a loss of ranks: chooses the new holders of every shard and the copies to send.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/problem/lost_ranks.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Keeps the cuts of `map` and restores owners and mirrors in three steps.
/// 1. A shard whose owner is lost passes to one of its mirrors.
/// 2. Ownership, and with it the work of the step, is evened out along chains of mirrors: the rank
///    that owns most hands a shard to a mirror of it, that rank hands on another shard, and so on,
///    as long as none of them becomes as full as the first one was. No byte is sent. Under chained
///    declustering every survivor thus takes an equal part of a lost rank's work.
/// 3. Every shard gets its former number of copies again, if enough ranks are live, on the ranks
///    that hold least.
///
/// Objective: the most elements that a rank owns; lower bound: an even share. Infeasible if all
/// holders of a shard are lost: the reason names the ranks, experts and elements.
/// Throws invalid_problem if the loss is broken or the map has other experts or elements.
/// Complexity: O((E K + N) (1 + shifts)) for K shards per expert, shifts at most E K N.
struct restore_shards {
  static constexpr std::string_view name = "restore_shards";

  shard_map map{};  ///< before the loss

  [[nodiscard]] SHUNT_CONSTEXPR solution<shard_recovery> operator()(lost_ranks const& lost) const;

 private:
  /// Returns a text that names the state lost for good; empty if none is.
  [[nodiscard]] SHUNT_CONSTEXPR text reason(lost_ranks const& lost) const;

  struct step {
    rank_id from{-1};
    shard* what = nullptr;
    bool operator==(step const&) const = default;
  };

  /// Shifts ownership until the rank that owns most cannot hand over a shard.
  /// Returns the elements that each rank owns.
  static SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> even_out(std::int32_t ranks,
                                                                 shard_map& map);

  static SHUNT_CONSTEXPR bool shift(shard_map& map, indexed<rank_id, std::int64_t>& owned);

  SHUNT_CONSTEXPR void copy_again(lost_ranks const& lost, shard_recovery& plan) const;
};
static_assert(solver_for<restore_shards, lost_ranks>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/shards/restore_shards.ipp"
#endif
