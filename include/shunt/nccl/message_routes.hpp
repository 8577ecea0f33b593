#pragma once
/// Names of communicators, and the routes that a program's messages take through them.
#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// A communicator's purpose and members. Members of collectives stand in the group's order, those
/// of a pair in ascending order, and those of an edge or of one of its channels as (sender,
/// receiver).
struct communicator_key {
  enum class use : std::uint8_t { collectives, pair, edge, channel };
  use purpose = use::collectives;
  std::vector<rank_id> members{};
  std::int32_t channel = 0;

  [[nodiscard]] bool contains(rank_id r) const {
    return std::find(members.begin(), members.end(), r) != members.end();
  }
  bool operator==(communicator_key const&) const = default;
  constexpr auto operator<=>(communicator_key const& other) const {
    return std::tie(purpose, members, channel) <=>
           std::tie(other.purpose, other.members, other.channel);
  }
};

/// How the messages of one program are routed.
struct message_routes {
  enum class kind : std::uint8_t { all, pair, edge, channel };
  kind apart = kind::all;  ///< of messages whose channel is not in `together`
  /// Channels that occur in batches, ascending. Their messages run in the communicator of all
  /// ranks.
  std::vector<std::int32_t> together{};
  bool buffered = false;  ///< sends do not wait for their receives

  [[nodiscard]] kind of(std::int32_t channel) const {
    return std::binary_search(together.begin(), together.end(), channel) ? kind::all : apart;
  }
  /// Returns the communicator of a message; without members: that of all ranks.
  [[nodiscard]] communicator_key key(rank_id from, rank_id to, std::int32_t channel) const {
    switch (of(channel)) {
      case kind::all: return {};
      case kind::pair:
        return {communicator_key::use::pair, {std::min(from, to), std::max(from, to)}};
      case kind::edge: return {communicator_key::use::edge, {from, to}};
      case kind::channel: return {communicator_key::use::channel, {from, to}, channel};
    }
    return {};
  }
  bool operator==(message_routes const&) const = default;
};

}  // namespace shunt
