#pragma once
/// Which communicator carries what, and when communicators are made and dropped.
///
/// What is submitted to one communicator runs one after the other, on whatever streams. So lanes
/// are worth something only where what stands on different lanes of a rank runs in different
/// communicators. From the program alone, so that all ranks decide alike:
///   - a collective runs in the communicator of its group;
///   - messages of a channel that stands in batches run in the communicator of all ranks, for only
///   within one a batch runs at once;
///   - all other messages run there too where each rank has them on one lane; in one communicator a
///   pair where each rank has those of a peer
///     on one lane; in one communicator a pair and direction otherwise.
/// These are the layouts that `message_lanes` of a lowered pipeline has. A send ends with its
/// receive, so such a program must not need more: where ranks would wait for each other in a circle
/// (`check_rendezvous` finds that, too), sends are buffered. Then every pair and direction has a
/// communicator, and every send leaves from a copy on a stream of its own.
///
/// Making a communicator takes all ranks, ending one takes its members; and there may be too many:
/// N ranks have N(N-1)/2 intervals, of which a rank is in 1,055 where N = 64 (SwiftMoE,
/// section 4.2). So they are made when a program first needs them, and a rank keeps a bounded
/// number: the longest unused ones that it is in are dropped first. Whoever sees the same programs
/// in the same order decides alike, for all ranks, which obeys the collective order. Disjoint
/// groups are made together: the groups of one MoE layer, intervals that form a path, take two
/// splits, however many they are.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// What a communicator is for. The members of collectives stand in the group's order; those of a
/// pair in ascending order; of an edge stands the sender first.
struct communicator_key {
  enum class use : std::uint8_t { collectives, pair, edge };
  use purpose = use::collectives;
  std::vector<rank_id> members{};

  [[nodiscard]] bool contains(rank_id r) const {
    return std::find(members.begin(), members.end(), r) != members.end();
  }
  constexpr bool operator==(communicator_key const&) const = default;
  constexpr auto operator<=>(communicator_key const& other) const {
    return std::tie(purpose, members) <=> std::tie(other.purpose, other.members);
  }
};

/// How the messages of one program travel.
struct message_routes {
  enum class kind : std::uint8_t { all, pair, edge };
  kind apart = kind::all;                ///< of messages whose channel isn't in `together`
  std::vector<std::int32_t> together{};  ///< channels that stand in batches, ascending: they run in
                                         ///< the communicator of all
  bool buffered = false;                 ///< sends don't wait for their receives

  [[nodiscard]] kind of(std::int32_t channel) const {
    return std::binary_search(together.begin(), together.end(), channel) ? kind::all : apart;
  }
  /// Where a message runs; nothing: in the communicator of all.
  [[nodiscard]] communicator_key key(rank_id from, rank_id to, std::int32_t channel) const {
    switch (of(channel)) {
      case kind::all: return {};
      case kind::pair:
        return {communicator_key::use::pair, {std::min(from, to), std::max(from, to)}};
      case kind::edge: return {communicator_key::use::edge, {from, to}};
    }
    return {};
  }
  constexpr bool operator==(message_routes const&) const = default;
};

namespace detail {

/// Plays a program where every send ends with its receive, each lane in order, and each
/// communicator in the order of the list.
class unbuffered_run {
 public:
  unbuffered_run(program const& p, message_routes const& routes)
      : p_(p), d_(find_dependencies(p)), routes_(routes) {
    arrived_.assign(d_.partner.size(), false);
    done_.assign(d_.partner.size(), false);
    ranks_.resize(p.ranks.size());
    for (rank_id const r : ids<rank_id>(p.ranks.size())) cut(r);
  }

  /// Whether it comes to its end.
  [[nodiscard]] bool ends() {
    std::size_t left = units_.size();
    for (bool moved = true; moved && left > 0;) {
      moved = false;
      for (auto& own : ranks_)
        for (auto& [lane, queue] : own.lanes)
          while (queue.next < queue.units.size() && passes(own, units_[queue.units[queue.next]])) {
            ++queue.next;
            --left;
            moved = true;
          }
    }
    return left == 0;
  }

 private:
  /// A collective, a local instruction, or messages that are submitted together.
  struct unit {
    rank_id rank{};
    std::int32_t first = 0, end = 0;
    std::set<communicator_key> carriers{};
    bool arrived = false;
  };
  struct in_order {
    std::vector<std::size_t> units{};
    std::size_t next = 0;
  };
  struct rank_lanes {
    std::map<std::uint8_t, in_order> lanes{};
    std::map<communicator_key, in_order> carriers{};
  };

  [[nodiscard]] static bool is_message(instruction const& i) {
    return i.code == opcode::send || i.code == opcode::receive;
  }

  void cut(rank_id r) {
    auto const& list = p_.ranks[r].instructions;
    auto& own = ranks_[r.index()];
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(list.size());) {
      auto const& i = list[static_cast<std::size_t>(n)];
      unit u{r, n, n + 1};
      while (is_message(i) && i.batch >= 0 && u.end < static_cast<std::int32_t>(list.size()) &&
             list[static_cast<std::size_t>(u.end)].batch == i.batch &&
             is_message(list[static_cast<std::size_t>(u.end)]))
        ++u.end;
      for (n = u.first; n < u.end; ++n) {
        auto const& k = list[static_cast<std::size_t>(n)];
        if (is_message(k))
          u.carriers.insert(k.code == opcode::send ? routes_.key(r, k.peer, k.channel)
                                                   : routes_.key(k.peer, r, k.channel));
      }
      own.lanes[i.lane].units.push_back(units_.size());
      for (auto const& c : u.carriers) own.carriers[c].units.push_back(units_.size());
      units_.push_back(std::move(u));
    }
  }

  /// Lets the next unit of a lane arrive where it can; whether it has also ended.
  bool passes(rank_lanes& own, unit& u) {
    auto const& list = p_.ranks[u.rank];
    auto const number = [&](std::int32_t n) {
      return static_cast<std::size_t>(d_.number({u.rank, n}));
    };
    if (!u.arrived) {
      for (auto const& c : u.carriers) {
        auto const& queue = own.carriers[c];
        if (&units_[queue.units[queue.next]] != &u) return false;
      }
      for (auto n = u.first; n < u.end; ++n)
        for (auto const w : list.after(list.instructions[static_cast<std::size_t>(n)]))
          if (!done_[number(w)]) return false;
      u.arrived = true;
      for (auto n = u.first; n < u.end; ++n) arrived_[number(n)] = true;
    }
    for (auto n = u.first; n < u.end; ++n) {
      auto const& i = list.instructions[static_cast<std::size_t>(n)];
      auto const partner = d_.partner[number(n)];
      if (is_message(i) &&
          (partner == dependencies::none || !arrived_[static_cast<std::size_t>(partner)]))
        return false;
      if (is_collective(i.code))
        for (auto const m : d_.members_of(d_.meetings[static_cast<std::size_t>(partner)]))
          if (m == dependencies::none || !arrived_[static_cast<std::size_t>(m)]) return false;
    }
    for (auto n = u.first; n < u.end; ++n) done_[number(n)] = true;
    for (auto const& c : u.carriers) ++own.carriers[c].next;
    return true;
  }

  program const& p_;
  dependencies d_;
  message_routes const& routes_;
  std::vector<unit> units_{};
  std::vector<rank_lanes> ranks_{};
  std::vector<bool> arrived_{}, done_{};  // by number
};

}  // namespace detail

/// O(n log n) in the number of instructions, and as often over all lanes as waits stand one behind
/// the other.
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
  if (detail::unbuffered_run(p, routes).ends()) return routes;
  return {.apart = message_routes::kind::edge, .buffered = true};
}

/// Throws invalid_program where messages of two ranks that run in one communicator are received in
/// another order than they are sent, or with another size: there are no tags that would tell them
/// apart. Batches count in list order. O(n log n).
inline void demand_order(program const& p, message_routes const& routes) {
  auto const d = find_dependencies(p);
  std::map<std::tuple<communicator_key, rank_id, rank_id>, std::vector<std::int32_t>>
      sent;  // numbers of sends, in list order
  auto const each = [&](opcode code, auto&& visit) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size()); ++n)
        if (auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)]; i.code == code)
          visit(r, n, i);
  };
  auto const at = [](rank_id r, std::int32_t n) {
    return "rank " + std::to_string(r.value()) + ", instruction " + std::to_string(n) + ": ";
  };
  each(opcode::send, [&](rank_id r, std::int32_t n, instruction const& i) {
    if (d.partner[static_cast<std::size_t>(d.number({r, n}))] == dependencies::none)
      throw invalid_program(at(r, n) + "nobody receives this message");
    sent[{routes.key(r, i.peer, i.channel), r, i.peer}].push_back(d.number({r, n}));
  });
  std::map<std::tuple<communicator_key, rank_id, rank_id>, std::size_t> received;
  each(opcode::receive, [&](rank_id r, std::int32_t n, instruction const& i) {
    auto const partner = d.partner[static_cast<std::size_t>(d.number({r, n}))];
    if (partner == dependencies::none)
      throw invalid_program(at(r, n) + "nobody sends this message");
    auto const key = std::tuple(routes.key(i.peer, r, i.channel), i.peer, r);
    auto const& queue = sent[key];
    auto const turn = received[key]++;
    if (queue[turn] != partner)
      throw invalid_program(
          at(r, n) + "the message from rank " + std::to_string(i.peer.value()) + " on channel " +
          std::to_string(i.channel) + " is received as number " + std::to_string(turn) +
          " and sent as number " +
          std::to_string(std::find(queue.begin(), queue.end(), partner) - queue.begin()));
    auto const from = d.point(partner);
    auto const& sender = p.ranks[from.rank];
    auto const size =
        sender.reads(sender.instructions[static_cast<std::size_t>(from.instruction)])[0].size;
    if (auto const awaited = p.ranks[r].writes(i)[0].size; size != awaited)
      throw invalid_program(at(r, n) + std::to_string(size) + " bytes are sent and " +
                            std::to_string(awaited) + " received");
  });
}

/// The communicators that a program needs beside the one of all, in the order in which they are
/// found: groups, then messages.
[[nodiscard]] inline std::vector<communicator_key> communicators_of(program const& p,
                                                                    message_routes const& routes) {
  std::vector<communicator_key> needed;
  std::set<communicator_key> known;
  auto const need = [&](communicator_key key) {
    if (!key.members.empty() && known.insert(key).second) needed.push_back(std::move(key));
  };
  std::vector<bool> meets(p.groups.size(), false);
  for (auto const& own : p.ranks)
    for (auto const& i : own.instructions)
      if (is_collective(i.code)) meets[i.group.index()] = true;
  for (group_id const g : ids<group_id>(p.groups.size()))
    if (meets[g.index()]) need({communicator_key::use::collectives, p.groups[g]});
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (auto const& i : p.ranks[r].instructions)
      if (i.code == opcode::send) need(routes.key(r, i.peer, i.channel));
  return needed;
}

/// Who holds which communicators, for all ranks at once. Everybody keeps one and asks it the same
/// questions.
class communicator_ledger {
 public:
  /// What is to be done, in this order: everybody ends what is dropped and it is in, then takes
  /// part in every split.
  struct change {
    std::vector<communicator_key> dropped{};
    std::vector<std::vector<communicator_key>> splits{};  ///< no two of one split share a rank
    bool operator==(change const&) const = default;
  };

  /// No rank is to hold more than `bound` communicators at once.
  explicit communicator_ledger(std::int32_t bound) : bound_(bound) {}

  /// Throws invalid_program where a rank needs more than the bound for one program.
  [[nodiscard]] change provide(std::span<communicator_key const> needed) {
    ++now_;
    change c;
    std::vector<communicator_key> fresh;
    for (auto const& key : needed)
      if (auto const known = used_.find(key); known != used_.end())
        known->second = now_;
      else
        fresh.push_back(key);
    for (auto const& key : fresh) {
      used_.emplace(key, now_);
      for (rank_id const r : key.members)
        while (held_by(r) > bound_) c.dropped.push_back(drop_oldest(r));
    }
    std::sort(fresh.begin(), fresh.end(), [](auto const& a, auto const& b) {
      return std::tie(first_of(a), a) < std::tie(first_of(b), b);
    });
    for (auto& key : fresh) {
      auto const apart = [&](std::vector<communicator_key> const& split) {
        return std::none_of(split.begin(), split.end(), [&](auto const& other) {
          return std::any_of(key.members.begin(), key.members.end(),
                             [&](rank_id r) { return other.contains(r); });
        });
      };
      auto const at = std::find_if(c.splits.begin(), c.splits.end(), apart);
      if (at == c.splits.end())
        c.splits.push_back({std::move(key)});
      else
        at->push_back(std::move(key));
    }
    return c;
  }

  /// Forgets everything: after a loss all communicators are gone.
  void clear() { used_.clear(); }
  [[nodiscard]] std::size_t size() const { return used_.size(); }
  [[nodiscard]] bool knows(communicator_key const& key) const { return used_.contains(key); }

 private:
  /// Intervals taken by their lowest rank need as few splits as overlap at one rank.
  [[nodiscard]] static rank_id const& first_of(communicator_key const& key) {
    return *std::min_element(key.members.begin(), key.members.end());
  }

  [[nodiscard]] std::int32_t held_by(rank_id r) const {
    return static_cast<std::int32_t>(std::count_if(
        used_.begin(), used_.end(), [&](auto const& entry) { return entry.first.contains(r); }));
  }
  [[nodiscard]] communicator_key drop_oldest(rank_id r) {
    auto oldest = used_.end();
    for (auto at = used_.begin(); at != used_.end(); ++at)
      if (at->first.contains(r) && at->second < now_ &&
          (oldest == used_.end() || at->second < oldest->second))
        oldest = at;
    if (oldest == used_.end())
      throw invalid_program("rank " + std::to_string(r.value()) + " needs more than " +
                            std::to_string(bound_) +
                            " communicators at once, the most that it may keep");
    return used_.extract(oldest).key();
  }

  std::int32_t bound_;
  std::int64_t now_ = 0;
  std::map<communicator_key, std::int64_t> used_{};  // when each was needed last
};

}  // namespace shunt
