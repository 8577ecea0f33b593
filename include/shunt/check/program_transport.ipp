#pragma once
#include "shunt/check/program_transport.hpp"

#include "shunt/check/detail/event_graph.hpp"
#include "shunt/check/program_order.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE program_violations check_rendezvous(program const& p) {
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

SHUNT_INLINE program_violations check_without_tags(program const& p) {
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
