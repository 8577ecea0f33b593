#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed_lists.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

/// Assignment of a rank's messages to lanes (streams). A lane is first in, first out. A message
/// occupies its lane until the peer takes it.
enum class message_lanes : std::uint8_t {
  one_per_rank,  ///< all sends and receives of a rank
  one_per_peer,  ///< the sends to and the receives from one other rank
  one_per_edge,  ///< the sends to one other rank; the receives from it have their own lane
};

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(message_lanes l);

/// Lane numbers of a pipeline's ranks.
struct pipeline_lanes {
  static constexpr std::uint8_t compute = 0;
  static constexpr std::uint8_t reductions = 1;
  /// Computes the second operation of an overlapped pair.
  static constexpr std::uint8_t second_of_pair = 2;
  /// This lane and the following ones carry messages, in the order in which the rank first uses
  /// them.
  static constexpr std::uint8_t first_of_messages = 3;
  static constexpr std::int32_t most = 256;
};

enum class action_kind : std::uint8_t { compute, send, receive };

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(action_kind k);

/// One entry of a rank's list: an operation, or one end of a message. A message is named after the
/// operation that makes it: a forward, or a backward_input also where the backward is fused.
struct pipeline_action {
  operation op{};
  rank_id peer = -1;  ///< of a message
  action_kind kind = action_kind::compute;
  std::uint8_t lane = pipeline_lanes::compute;

  bool operator==(pipeline_action const&) const = default;
};

/// A pipeline schedule with its messages placed: the list of every rank, without buffers. A compute
/// starts when its input was received or computed earlier in the list, a send when its operation
/// has ended, and each as soon as its lane is free. Data that stays on a rank is no message.
struct pipeline_actions {
  indexed_lists<rank_id, pipeline_action> lists{};
  message_lanes lanes = message_lanes::one_per_edge;

  bool operator==(pipeline_actions const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/pipeline_actions.ipp"
#endif
