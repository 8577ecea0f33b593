#pragma once
#include "shunt/check/program_messages.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt::detail {

SHUNT_INLINE void check_matches(program const& p, dependencies const& d, program_violations& out) {
  std::int32_t number = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    rank_program const& own = p.ranks[r];
    for (auto const& i : own.instructions) {
      program_point const at = {r, number - d.first[r.index()]};
      auto const partner = d.partner[static_cast<std::size_t>(number++)];
      if (i.code != opcode::send && i.code != opcode::receive) continue;
      if (partner == dependencies::none) {
        out.push_back({.rule = program_rule::unmatched_message,
                       .at = at,
                       .other = {i.peer, program_violation::whole}});
      } else if (i.code == opcode::receive) {
        program_point const from = {i.peer, partner - d.first[i.peer.index()]};
        auto const& sender = p.ranks[i.peer];
        auto const sent =
            sender.reads(sender.instructions[static_cast<std::size_t>(from.instruction)])[0].size;
        if (auto const awaited = own.writes(i)[0].size; sent != awaited)
          out.push_back({.rule = program_rule::message_size,
                         .at = from,
                         .other = at,
                         .found = sent,
                         .expected = awaited});
        auto const& send = sender.instructions[static_cast<std::size_t>(from.instruction)];
        if ((send.condition < 0) != (i.condition < 0))
          out.push_back({.rule = program_rule::condition, .at = from, .other = at});
      }
    }
  }
}

SHUNT_INLINE void check_collectives(program const& p, dependencies const& d,
                                    program_violations& out) {
  for (auto const& m : d.collectives) {
    auto const& group = p.groups[m.group];
    auto const numbers = d.members_of(m);
    auto const present =
        static_cast<std::size_t>(std::find_if(numbers.begin(), numbers.end(),
                                              [](auto n) { return n != dependencies::none; }) -
                                 numbers.begin());
    auto const point = [&](std::size_t k) {
      return program_point{group[k], numbers[k] - d.first[group[k].index()]};
    };
    auto const said = [&](std::size_t k) {
      rank_program const& own = p.ranks[group[k]];
      auto const& i = own.instructions[static_cast<std::size_t>(point(k).instruction)];
      bool const typed = i.code == opcode::all_reduce || i.code == opcode::reduce_scatter;
      return std::tuple(i.code, typed ? i.type : element::bytes, typed ? i.reduce : reduction::sum,
                        own.reads(i)[0].size);
    };
    auto const conditional = [&](std::size_t k) {
      return p.ranks[group[k]]
                 .instructions[static_cast<std::size_t>(point(k).instruction)]
                 .condition >= 0;
    };
    for (std::size_t k = 0; k < group.size(); ++k) {
      if (numbers[k] == dependencies::none)
        out.push_back({.rule = program_rule::missing_member,
                       .at = point(present),
                       .other = {group[k], program_violation::whole},
                       .found = m.group.value()});
      else if (said(k) != said(present))
        out.push_back({.rule = program_rule::collective_mismatch,
                       .at = point(k),
                       .other = point(present),
                       .found = m.group.value()});
      else if (conditional(k) != conditional(present))
        out.push_back({.rule = program_rule::condition, .at = point(k), .other = point(present)});
    }
  }
}

// Appends one violation for every rank that can't reach its end.
SHUNT_INLINE void check_deadlock(program const& p, dependencies const& d, program_violations& out) {
  auto const order = serial_order(p, d);
  if (order.size() == d.partner.size()) return;
  std::vector<std::int32_t> reached(p.ranks.size(), 0);
  for (auto const at : order) reached[at.rank.index()] = at.instruction + 1;
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    if (static_cast<std::size_t>(reached[r.index()]) < p.ranks[r].instructions.size())
      out.push_back({.rule = program_rule::deadlock, .at = {r, reached[r.index()]}});
}

SHUNT_INLINE void check_unordered(rank_program const& own, rank_id r, lane_order const& order,
                                  program_violations& out) {
  if (order.total()) return;
  struct item {
    opcode code;  // all collectives count as one
    std::int32_t peer_or_group, channel, at;
    constexpr auto operator<=>(item const&) const = default;
  };
  std::vector<item> items;
  for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
    auto const& i = own.instructions[static_cast<std::size_t>(n)];
    if (is_collective(i.code)) items.push_back({opcode::all_reduce, i.group.value(), 0, n});
    if (i.code == opcode::send || i.code == opcode::receive)
      items.push_back({i.code, i.peer.value(), i.channel, n});
  }
  std::sort(items.begin(), items.end());
  for (std::size_t k = 1; k < items.size(); ++k) {
    auto const &a = items[k - 1], &b = items[k];
    if (std::tie(a.code, a.peer_or_group, a.channel) !=
        std::tie(b.code, b.peer_or_group, b.channel))
      continue;
    auto const batch = own.instructions[static_cast<std::size_t>(a.at)].batch;
    bool const together =  // submitted in list order
        batch >= 0 && batch == own.instructions[static_cast<std::size_t>(b.at)].batch;
    if (!together && !order.before(a.at, b.at))
      out.push_back(
          {.rule = program_rule::unordered_messages, .at = {r, b.at}, .other = {r, a.at}});
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void check_messages(program const& p, program_violations& out) {
  auto const d = find_dependencies(p);
  detail::check_matches(p, d, out);
  detail::check_collectives(p, d, out);
  detail::check_deadlock(p, d, out);
}

}  // namespace shunt
