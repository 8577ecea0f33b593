#pragma once
/// Routes: which communicator carries each message and collective of a program.
///
/// Operations of one communicator run one after the other, on any streams. Lanes therefore help
/// only where operations on different lanes of a rank use different communicators. Routes
/// depend on the program alone, so all ranks compute the same ones.
/// See docs/device-code.md.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/nccl/detail/unbuffered_run.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

namespace detail {

/// Calls visit(rank, number in its list, instruction) for all instructions of an opcode.
template <class Visit>
void each_of(program const& p, opcode code, Visit const& visit) {
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size()); ++n)
      if (auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)]; i.code == code)
        visit(r, n, i);
}

/// A receive whose message is number `sent` among those of its two ranks in one communicator.
struct overtaken_message {
  program_point at{};
  std::size_t received = 0, sent = 0;
};

/// Returns the first message that is received in another turn than sent. Batches count in list
/// order, and messages without a partner not at all.
[[nodiscard]] inline std::optional<overtaken_message> find_overtaken(program const& p,
                                                                     dependencies const& d,
                                                                     message_routes const& routes) {
  std::map<std::tuple<communicator_key, rank_id, rank_id>, std::vector<std::int32_t>> sent;
  std::map<std::tuple<communicator_key, rank_id, rank_id>, std::size_t> received;
  std::optional<overtaken_message> first;
  each_of(p, opcode::send, [&](rank_id r, std::int32_t n, instruction const& i) {
    sent[{routes.key(r, i.peer, i.channel), r, i.peer}].push_back(d.number({r, n}));
  });
  each_of(p, opcode::receive, [&](rank_id r, std::int32_t n, instruction const& i) {
    std::tuple const key{routes.key(i.peer, r, i.channel), i.peer, r};
    auto const& queue = sent[key];
    auto const turn = received[key]++;
    auto const partner = d.partner[static_cast<std::size_t>(d.number({r, n}))];
    if (first || partner == dependencies::none || queue[turn] == partner) return;
    auto const number = std::find(queue.begin(), queue.end(), partner) - queue.begin();
    first = {{r, n}, turn, static_cast<std::size_t>(number)};
  });
  return first;
}

}  // namespace detail

/// Returns the routes of a program's messages.
/// Complexity: O(n log n) in the number of instructions, times the length of the longest chain of
/// waits over all lanes.
[[nodiscard]] inline message_routes find_routes(program const& p) {
  auto const is_message = [](instruction const& i) {
    return i.code == opcode::send || i.code == opcode::receive;
  };
  std::set<std::int32_t> together;
  for (auto const& own : p.ranks)
    for (std::size_t n = 1; n < own.instructions.size(); ++n) {
      auto const &a = own.instructions[n - 1], &b = own.instructions[n];
      if (b.batch < 0 || a.batch != b.batch) continue;
      for (auto const* i : {&a, &b})
        if (is_message(*i)) together.insert(i->channel);
    }
  message_routes routes{.together = {together.begin(), together.end()}};
  for (auto const& own : p.ranks) {
    std::set<std::uint8_t> lanes;
    std::map<rank_id, std::set<std::uint8_t>> by_peer;
    for (auto const& i : own.instructions) {
      if (!is_message(i)) continue;
      lanes.insert(i.lane);
      if (!together.contains(i.channel)) by_peer[i.peer].insert(i.lane);
    }
    if (lanes.size() > 1) routes.apart = std::max(routes.apart, message_routes::kind::pair);
    for (auto const& [peer, used] : by_peer)
      if (used.size() > 1) routes.apart = message_routes::kind::edge;
  }
  bool const crossing = detail::find_overtaken(p, find_dependencies(p), routes).has_value();
  if (crossing) routes.apart = message_routes::kind::channel;
  if (detail::unbuffered_run(p, routes).ends()) return routes;
  return {.apart = crossing ? message_routes::kind::channel : message_routes::kind::edge,
          .buffered = true};
}

/// Checks that messages of two ranks in one communicator are received in the order in which they
/// are sent, and with the same sizes, since NCCL has no tags. Batches count in list order.
/// Throws invalid_program.
/// Complexity: O(n log n).
inline void require_message_order(program const& p, message_routes const& routes) {
  auto const d = find_dependencies(p);
  auto const at = [](program_point const& point) {
    return "rank " + std::to_string(point.rank.value()) + ", instruction " +
           std::to_string(point.instruction) + ": ";
  };
  auto const partner = [&](program_point const& point) {
    return d.partner[static_cast<std::size_t>(d.number(point))];
  };
  detail::each_of(p, opcode::send, [&](rank_id r, std::int32_t n, instruction const&) {
    if (partner({r, n}) == dependencies::none)
      throw invalid_program(at({r, n}) + "nobody receives this message");
  });
  detail::each_of(p, opcode::receive, [&](rank_id r, std::int32_t n, instruction const& i) {
    if (partner({r, n}) == dependencies::none)
      throw invalid_program(at({r, n}) + "nobody sends this message");
    auto const from = d.point(partner({r, n}));
    auto const& sender = p.ranks[from.rank];
    auto const size =
        sender.reads(sender.instructions[static_cast<std::size_t>(from.instruction)])[0].size;
    if (auto const awaited = p.ranks[r].writes(i)[0].size; size != awaited)
      throw invalid_program(at({r, n}) + std::to_string(size) + " bytes are sent and " +
                            std::to_string(awaited) + " received");
  });
  auto const m = detail::find_overtaken(p, d, routes);
  if (!m) return;
  auto const& i = p.ranks[m->at.rank].instructions[static_cast<std::size_t>(m->at.instruction)];
  throw invalid_program(at(m->at) + "the message from rank " + std::to_string(i.peer.value()) +
                        " on channel " + std::to_string(i.channel) + " is received as number " +
                        std::to_string(m->received) + " and sent as number " +
                        std::to_string(m->sent));
}

/// Returns the communicators that a program needs besides that of all ranks: groups, then messages,
/// in the order in which they occur.
[[nodiscard]] inline std::vector<communicator_key> communicators_of(program const& p,
                                                                    message_routes const& routes) {
  std::vector<communicator_key> needed;
  std::set<communicator_key> known;
  auto const need = [&](communicator_key key) {
    if (!key.members.empty() && known.insert(key).second) needed.push_back(std::move(key));
  };
  std::vector<bool> has_collective(p.groups.size(), false);
  for (auto const& own : p.ranks)
    for (auto const& i : own.instructions)
      if (is_collective(i.code)) has_collective[i.group.index()] = true;
  for (group_id const g : ids<group_id>(p.groups.size()))
    if (has_collective[g.index()]) need({communicator_key::use::collectives, p.groups[g]});
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (auto const& i : p.ranks[r].instructions)
      if (i.code == opcode::send) need(routes.key(r, i.peer, i.channel));
  return needed;
}

}  // namespace shunt
