#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Weight scatter of one layer. The owners of an expert's shards send their updated weights
/// straight into the slots of the *next* placement. A slot receives W bytes after every step in any
/// case, so its next expert is free to choose; its previous content is lost. Without de-duplication
/// every slot gets its own messages, s N W bytes in total. With it only the first slot of an expert
/// on a rank does, and the rank copies.
///
/// Each rank gets, in this order: all sends, all receives (one batch with the sends), copies of
/// shards within the rank, copies from slot to slot. Both ends of a pair visit experts, hosts,
/// slots, shards in one order, so messages match by position.
///
/// Throws invalid_problem where sizes don't fit each other.
/// Complexity: O(slots x shards of an expert) instructions.
/// Reference: SYMI (arXiv 2504.19925), section 4.3.
struct weight_scatter {
  bool deduplicate = true;   ///< one message for all instances of an expert on a rank
  std::int32_t channel = 0;  ///< of all messages
  std::int32_t batch = 0;    ///< of all messages

  SHUNT_CONSTEXPR void operator()(program_builder& b, optimizer_state const& state,
                                  expert_placement const& next, layer_id layer,
                                  shard_map const& map, expert_buffers const& buffers) const;
};

/// Returns the weight scatter of all layers to the next placement as one program. Layer l uses
/// buffers 2 l (weights of slots) and 2 l + 1 (of shards) and batch `how.batch` + l.
/// Throws invalid_problem as weight_scatter does.
[[nodiscard]] SHUNT_CONSTEXPR program lower(optimizer_state const& state,
                                            expert_placement const& next, shard_map const& map,
                                            weight_scatter how);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/weight_scatter.ipp"
#endif
