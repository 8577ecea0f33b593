#pragma once
/// Rules for transports that offer less than `check` assumes: sends that aren't buffered, or
/// channels that aren't separate.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/detail/event_graph.hpp"
#include "shunt/check/program_order.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

/// Visits every wait under sends that end with their receives: along lanes and along `after`.
/// Members of a batch start together; the next instruction of their lane waits for all of them.
/// Calls `visit(earlier, later)`. Ends of batches are numbered from `units` on.
template <class Visit>
void each_wait(program const& p, dependencies const& d, std::size_t units, Visit&& visit) {
  constexpr std::int64_t nothing = -1;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    rank_program const& own = p.ranks[r];
    // The event that the next instruction of a lane, or the next member of a batch, waits for.
    std::array<std::int64_t, 256> before{};
    before.fill(nothing);
    for (std::size_t n = 0; n < own.instructions.size(); ++n) {
      auto const& i = own.instructions[n];
      auto const first = static_cast<std::size_t>(d.first[r.index()]), self = first + n;
      for (auto const w : own.after(i)) visit(first + static_cast<std::size_t>(w), self);
      auto& last = before[i.lane];
      if (last != nothing) visit(static_cast<std::size_t>(last), self);
      if (i.batch < 0) {
        last = static_cast<std::int64_t>(self);
        continue;
      }
      visit(self, units + self);  // the end of a batch has the number of its last member
      auto const more = n + 1 < own.instructions.size() && own.instructions[n + 1].batch == i.batch;
      if (more)
        visit(units + self, units + self + 1);
      else
        last = static_cast<std::int64_t>(units + self);
    }
  }
}

}  // namespace detail

/// Checks whether a program can run where every send waits for its receive, each lane in order. It
/// can't where two lanes cross on two ranks, or where two ranks both send before they receive.
///
/// Returns the first instruction of each rank that never completes.
/// Requires a program that passes `check`.
/// Complexity: O(n log n) in the number of instructions.
[[nodiscard]] inline program_violations check_rendezvous(program const& p) {
  auto const d = find_dependencies(p);
  auto const count = d.partner.size();
  detail::event_graph events(2 * count);
  detail::each_wait(p, d, count, [&](std::size_t earlier, std::size_t) { events.count(earlier); });
  events.counted();
  detail::each_wait(p, d, count,
                    [&](std::size_t earlier, std::size_t later) { events.wait(earlier, later); });
  std::size_t number = 0;
  for (auto const& own : p.ranks)
    for (auto const& i : own.instructions) {
      auto const partner = d.partner[number];
      if (i.code == opcode::send && partner != dependencies::none)
        events.join(number, static_cast<std::size_t>(partner));
      ++number;
    }
  for (auto const& m : d.collectives) {
    auto const members = d.members_of(m);
    for (std::size_t k = 1; k < members.size(); ++k)
      if (members[0] != dependencies::none && members[k] != dependencies::none)
        events.join(static_cast<std::size_t>(members[0]), static_cast<std::size_t>(members[k]));
  }
  events.run();
  program_violations out;
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size()); ++n)
      if (!events.happened(static_cast<std::size_t>(d.number({r, n})))) {
        out.push_back({.rule = program_rule::rendezvous, .at = {r, n}});
        break;
      }
  return out;
}

/// Checks whether a program can run over a transport that ignores channels: between two ranks
/// messages are received in the order in which they are sent, and that order is fixed on both
/// sides.
///
/// Returns all violations.
/// Requires a program that passes `check`.
/// Complexity: O(n log n) in the number of instructions, times the lanes of a rank.
[[nodiscard]] inline program_violations check_without_tags(program const& p) {
  struct peer {
    rank_id known_to = -1;
    std::int32_t sent = 0, received = 0;  // so far
    std::int32_t last_send = -1, last_receive = -1;
  };
  auto const d = find_dependencies(p);
  std::vector<peer> peers(p.ranks.size());
  std::vector<std::int32_t> turn(d.partner.size(), -1);  // by number of a receive
  program_violations out;
  for (bool const senders : {false, true}) {
    for (auto& known : peers) known = {};
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      auto const& list = p.ranks[r].instructions;
      lane_order const order(p.ranks[r]);
      for (std::int32_t n = 0; n < static_cast<std::int32_t>(list.size()); ++n) {
        auto const& i = list[static_cast<std::size_t>(n)];
        if (i.code != (senders ? opcode::send : opcode::receive)) continue;
        auto& with = peers[i.peer.index()];
        if (with.known_to != r) with = {.known_to = r};
        auto const number = static_cast<std::size_t>(d.number({r, n}));
        auto& last = senders ? with.last_send : with.last_receive;
        bool const together =
            last >= 0 && i.batch >= 0 && list[static_cast<std::size_t>(last)].batch == i.batch;
        if (last >= 0 && !together && !order.before(last, n))
          out.push_back(
              {.rule = program_rule::unordered_messages, .at = {r, n}, .other = {r, last}});
        last = n;
        if (!senders) {
          turn[number] = with.received++;
          continue;
        }
        auto const sent = with.sent++;
        auto const partner = d.partner[number];
        if (partner == dependencies::none) continue;
        if (auto const received = turn[static_cast<std::size_t>(partner)]; received != sent)
          out.push_back({.rule = program_rule::overtaken,
                         .at = {r, n},
                         .other = d.point(partner),
                         .found = sent,
                         .expected = received});
      }
    }
  }
  return out;
}

}  // namespace shunt
