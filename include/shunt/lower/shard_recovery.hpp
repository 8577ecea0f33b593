#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Recovery of one layer's optimizer state: moves it from the shards of `before` to those of a
/// recovery. Every live rank has two persistent buffers, the old and the new state. Dead ranks have
/// an empty list.
///
/// A buffer of state is `planes` arrays in sequence (parameters, first moments, ...). Each holds
/// the rank's shards by expert and then by begin, owned and mirrored, state_bytes / planes per
/// element. Each rank gets all sends, all receives (one batch), then copies of the shards it had.
///
/// Throws invalid_problem where sizes or cuts don't fit each other, or state_bytes is no multiple
/// of planes.
/// Throws invalid_program where the recovery takes a shard from a rank that doesn't hold it.
/// Complexity: O(shards x holders x planes) instructions.
struct state_recovery {
  std::int32_t planes = 1;
  std::int32_t channel = 0;  ///< of all messages
  std::int32_t batch = 0;    ///< of all messages

  SHUNT_CONSTEXPR void operator()(program_builder& b, optimizer_state const& state,
                                  shard_map const& before, shard_recovery const& recovery,
                                  buffer_id from, buffer_id to) const;
};

/// Returns a recovery of one layer as a program: buffer 0 is the old state, buffer 1 the new one.
/// Throws as state_recovery does.
[[nodiscard]] SHUNT_CONSTEXPR program lower(optimizer_state const& state, shard_map const& before,
                                            shard_recovery const& recovery,
                                            state_recovery how = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/shard_recovery.ipp"
#endif
