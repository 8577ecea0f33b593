#pragma once
#include "shunt/plan/pipeline_actions.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(message_lanes l) {
  switch (l) {
    case message_lanes::one_per_rank: return "one_per_rank";
    case message_lanes::one_per_peer: return "one_per_peer";
    case message_lanes::one_per_edge: return "one_per_edge";
  }
  return "unknown";
}

SHUNT_CONSTEXPR std::string_view to_string(action_kind k) {
  switch (k) {
    case action_kind::compute: return "compute";
    case action_kind::send: return "send";
    case action_kind::receive: return "receive";
  }
  return "unknown";
}

}  // namespace shunt
