#pragma once
#include "shunt/check/program_violation.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(program_rule r) {
  switch (r) {
    case program_rule::table: return "table";
    case program_rule::group: return "group";
    case program_rule::region: return "region";
    case program_rule::shape: return "shape";
    case program_rule::size: return "size";
    case program_rule::alignment: return "alignment";
    case program_rule::overlap: return "overlap";
    case program_rule::peer: return "peer";
    case program_rule::channel: return "channel";
    case program_rule::membership: return "membership";
    case program_rule::wait: return "wait";
    case program_rule::batch: return "batch";
    case program_rule::unmatched_message: return "unmatched_message";
    case program_rule::message_size: return "message_size";
    case program_rule::missing_member: return "missing_member";
    case program_rule::collective_mismatch: return "collective_mismatch";
    case program_rule::deadlock: return "deadlock";
    case program_rule::unordered_messages: return "unordered_messages";
    case program_rule::unwritten: return "unwritten";
    case program_rule::condition: return "condition";
    case program_rule::race: return "race";
    case program_rule::rendezvous: return "rendezvous";
    case program_rule::overtaken: return "overtaken";
  }
  return "unknown";
}

SHUNT_INLINE std::string to_string(program_violation const& v) {
  auto const number = [](auto n) { return std::to_string(n); };
  auto const place = [&](program_point p) {
    return "rank " + number(p.rank.value()) +
           (p.instruction < 0 ? "" : ", instruction " + number(p.instruction));
  };
  std::string text = v.rule == program_rule::group ? "group " + number(v.found) : place(v.at);
  text += ": " + std::string(to_string(v.rule));
  switch (v.rule) {
    case program_rule::shape:
    case program_rule::size:
    case program_rule::message_size:
      text += ": " + number(v.found) + " instead of " + number(v.expected);
      break;
    case program_rule::overtaken:
      text += ": sent as number " + number(v.found) + ", received as number " + number(v.expected);
      break;
    case program_rule::alignment:
      text += ": not a multiple of " + number(v.expected) + " bytes";
      break;
    case program_rule::peer: text += ": rank " + number(v.found); break;
    case program_rule::channel:
    case program_rule::batch:
    case program_rule::wait: text += ": " + number(v.found); break;
    case program_rule::membership:
    case program_rule::missing_member:
    case program_rule::collective_mismatch: text += ": group " + number(v.found); break;
    default: break;
  }
  if (v.where != region{})
    text += ": buffer " + number(v.where.buffer.value()) + " [" + number(v.where.offset) + ", +" +
            number(v.where.size) + ")";
  if (v.other.rank >= 0) text += " (with " + place(v.other) + ")";
  return text;
}

}  // namespace shunt
