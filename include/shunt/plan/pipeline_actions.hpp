#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

/// How the messages of a rank share lanes (streams). A lane is first in, first out, and a message
/// holds it until the other side takes it.
enum class message_lanes : std::uint8_t {
  one_per_rank,  ///< all sends and receives of a rank
  one_per_peer,  ///< the sends to and the receives from one other rank
  one_per_edge,  ///< the sends to one other rank; the receives from it have a lane of their own
};

[[nodiscard]] constexpr std::string_view to_string(message_lanes l) {
  switch (l) {
    case message_lanes::one_per_rank: return "one_per_rank";
    case message_lanes::one_per_peer: return "one_per_peer";
    case message_lanes::one_per_edge: return "one_per_edge";
  }
  return "unknown";
}

/// The lanes of a pipeline's ranks, by number.
struct pipeline_lanes {
  static constexpr std::uint8_t compute = 0;
  static constexpr std::uint8_t reductions = 1;
  static constexpr std::uint8_t second_of_pair =
      2;  ///< computes: the second operation of an overlapped pair
  static constexpr std::uint8_t first_of_messages =
      3;  ///< and those after it, in the order in which a rank first uses them
  static constexpr std::int32_t most = 256;
};

enum class action_kind : std::uint8_t { compute, send, receive };

[[nodiscard]] constexpr std::string_view to_string(action_kind k) {
  switch (k) {
    case action_kind::compute: return "compute";
    case action_kind::send: return "send";
    case action_kind::receive: return "receive";
  }
  return "unknown";
}

/// One entry of a rank's list: an operation, or one end of a message. A message bears the name of
/// the operation whose output it is: a forward, or, fused or not, a backward_input.
struct pipeline_action {
  operation op{};
  rank_id peer = -1;  ///< of a message
  action_kind kind = action_kind::compute;
  std::uint8_t lane = pipeline_lanes::compute;

  constexpr bool operator==(pipeline_action const&) const = default;
};

/// A pipeline schedule with its messages in place: what each rank does in which order, without
/// buffers. A compute starts when what it computes from was received or computed before it in the
/// list, a send when its operation has ended, and both as soon as their lane comes to them. What a
/// rank hands over to itself is no message.
struct pipeline_actions {
  indexed<rank_id, std::vector<pipeline_action>> lists{};
  message_lanes lanes = message_lanes::one_per_edge;

  constexpr bool operator==(pipeline_actions const&) const = default;
};

}  // namespace shunt
