#pragma once
/// Test whether a program terminates when no send is buffered, under given routes.
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Runs a program in which every send ends with its receive, each lane is in order, and each
/// communicator runs in the order of the list.
class unbuffered_run {
 public:
  unbuffered_run(program const& p, message_routes const& routes)
      : p_(p), d_(find_dependencies(p)), routes_(routes) {
    arrived_.assign(d_.partner.size(), false);
    done_.assign(d_.partner.size(), false);
    ranks_.resize(p.ranks.size());
    for (rank_id const r : ids<rank_id>(p.ranks.size())) cut(r);
  }

  /// Returns whether the program terminates.
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
    std::set<communicator_key> communicators{};
    bool arrived = false;
  };
  struct in_order {
    std::vector<std::size_t> units{};
    std::size_t next = 0;
  };
  struct rank_lanes {
    std::map<std::uint8_t, in_order> lanes{};
    std::map<communicator_key, in_order> communicators{};
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
          u.communicators.insert(k.code == opcode::send ? routes_.key(r, k.peer, k.channel)
                                                        : routes_.key(k.peer, r, k.channel));
      }
      own.lanes[i.lane].units.push_back(units_.size());
      for (auto const& c : u.communicators) own.communicators[c].units.push_back(units_.size());
      units_.push_back(std::move(u));
    }
  }

  /// Starts the next unit of a lane where possible.
  /// Returns whether the unit has also completed.
  bool passes(rank_lanes& own, unit& u) {
    auto const& list = p_.ranks[u.rank];
    auto const number = [&](std::int32_t n) {
      return static_cast<std::size_t>(d_.number({u.rank, n}));
    };
    if (!u.arrived) {
      for (auto const& c : u.communicators) {
        auto const& queue = own.communicators[c];
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
        for (auto const m : d_.members_of(d_.collectives[static_cast<std::size_t>(partner)]))
          if (m == dependencies::none || !arrived_[static_cast<std::size_t>(m)]) return false;
    }
    for (auto n = u.first; n < u.end; ++n) done_[number(n)] = true;
    for (auto const& c : u.communicators) ++own.communicators[c].next;
    return true;
  }

  program const& p_;
  dependencies d_;
  message_routes const& routes_;
  std::vector<unit> units_{};
  std::vector<rank_lanes> ranks_{};
  std::vector<bool> arrived_{}, done_{};  // by instruction number
};

}  // namespace shunt::detail
