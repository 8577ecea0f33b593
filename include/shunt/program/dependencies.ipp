#pragma once
#include "shunt/program/dependencies.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_INLINE std::int32_t dependencies::number(program_point at) const {
  return first[at.rank.index()] + at.instruction;
}

SHUNT_INLINE program_point dependencies::point(std::int32_t number) const {
  auto const r = std::upper_bound(first.begin(), first.end(), number) - first.begin() - 1;
  return {r, number - first[static_cast<std::size_t>(r)]};
}

SHUNT_INLINE std::span<std::int32_t const> dependencies::members_of(
    collective_match const& m) const {
  return std::span(members).subspan(static_cast<std::size_t>(m.members.first),
                                    static_cast<std::size_t>(m.members.count));
}

}  // namespace shunt

namespace shunt::detail {

class dependency_finder {
 public:
  explicit dependency_finder(program const& p) : program_(p) {
    result_.first.push_back(0);
    for (auto const& r : p.ranks)
      result_.first.push_back(result_.first.back() +
                              static_cast<std::int32_t>(r.instructions.size()));
    result_.partner.assign(static_cast<std::size_t>(result_.first.back()), dependencies::none);
  }

  dependencies operator()() && {
    match_messages();
    match_collectives();
    return std::move(result_);
  }

 private:
  struct arrival {
    rank_id from{};
    std::int32_t channel = 0;
    std::int32_t number = 0;
    constexpr auto operator<=>(arrival const&) const = default;
  };

  // Matches the n-th send on (sender, receiver, channel) with the n-th receive.
  void match_messages() {
    auto const ranks = program_.ranks.size();
    std::vector<std::size_t> begin(ranks + 1);  // sends by receiver, in counting order
    each([&](instruction const& i, rank_id, std::int32_t) {
      begin[i.code == opcode::send ? i.peer.index() + 1 : 0] += 1;
    });
    begin[0] = 0;
    for (std::size_t r = 0; r < ranks; ++r) begin[r + 1] += begin[r];
    std::vector<arrival> arrivals(begin.back());
    auto at = begin;
    each([&](instruction const& i, rank_id r, std::int32_t number) {
      if (i.code == opcode::send) arrivals[at[i.peer.index()]++] = {r, i.channel, number};
    });

    // By position in a rank's arrivals: the next unmatched one of the run that begins there.
    std::vector<std::size_t> head;
    for (rank_id const r : ids<rank_id>(ranks)) {
      auto const mine =
          std::span(arrivals).subspan(begin[r.index()], begin[r.index() + 1] - begin[r.index()]);
      if (!std::is_sorted(mine.begin(), mine.end())) std::sort(mine.begin(), mine.end());
      head.assign(mine.size(), 0);
      auto number = result_.first[r.index()];
      for (auto const& i : program_.ranks[r].instructions) {
        if (i.code == opcode::receive) {
          auto const run = static_cast<std::size_t>(
              std::lower_bound(mine.begin(), mine.end(), arrival{i.peer, i.channel, 0}) -
              mine.begin());
          if (run < mine.size())
            if (auto const k = run + head[run];
                k < mine.size() && mine[k].from == i.peer && mine[k].channel == i.channel) {
              ++head[run];
              pair(number, mine[k].number);
            }
        }
        ++number;
      }
    }
  }

  void pair(std::int32_t a, std::int32_t b) {
    result_.partner[static_cast<std::size_t>(a)] = b;
    result_.partner[static_cast<std::size_t>(b)] = a;
  }

  // Matches the n-th collectives of all members of a group.
  void match_collectives() {
    struct member_place {
      group_id group{};
      std::int32_t place = 0;
      std::int32_t held = 0;  // collectives of the group seen so far
    };
    std::vector<std::vector<member_place>> member_places(program_.ranks.size());
    for (group_id const g : ids<group_id>(program_.groups.size()))
      for (std::size_t k = 0; k < program_.groups[g].size(); ++k)
        member_places[program_.groups[g][k].index()].push_back(
            {g, static_cast<std::int32_t>(k), 0});

    std::vector<std::vector<std::int32_t>> by_group(
        program_.groups.size());  // collectives of each group
    each([&](instruction const& i, rank_id r, std::int32_t number) {
      if (!is_collective(i.code)) return;
      auto& mine = member_places[r.index()];
      auto const s =
          std::lower_bound(mine.begin(), mine.end(), i.group,
                           [](member_place const& x, group_id g) { return x.group < g; });
      if (s == mine.end() || s->group != i.group) return;
      auto& held = by_group[i.group.index()];
      if (static_cast<std::size_t>(s->held) == held.size()) {
        auto const size = static_cast<std::int32_t>(program_.groups[i.group].size());
        held.push_back(static_cast<std::int32_t>(result_.collectives.size()));
        result_.collectives.push_back(
            {i.group, {static_cast<std::int32_t>(result_.members.size()), size}});
        result_.members.resize(result_.members.size() + static_cast<std::size_t>(size),
                               dependencies::none);
      }
      auto const m = held[static_cast<std::size_t>(s->held++)];
      result_.members[static_cast<std::size_t>(
          result_.collectives[static_cast<std::size_t>(m)].members.first + s->place)] = number;
      result_.partner[static_cast<std::size_t>(number)] = m;
    });
  }

  template <class Visit>
  void each(Visit&& visit) const {
    std::int32_t number = 0;
    for (rank_id const r : ids<rank_id>(program_.ranks.size()))
      for (auto const& i : program_.ranks[r].instructions) visit(i, r, number++);
  }

  program const& program_;
  dependencies result_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE dependencies find_dependencies(program const& p) {
  return detail::dependency_finder(p)();
}

SHUNT_INLINE std::vector<program_point> serial_order(program const& p, dependencies const& d) {
  std::vector<program_point> order;
  order.reserve(d.partner.size());
  std::vector<std::int32_t> at(p.ranks.size(), 0);  // each rank's next instruction
  // By number of a send: the rank that waits for it.
  std::vector<rank_id> waiter(d.partner.size(), dependencies::none);
  std::vector<std::int32_t> missing;  // by collective: members that have not arrived yet
  for (auto const& m : d.collectives) missing.push_back(m.members.count);
  std::vector<rank_id> able;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) able.push_back(r);

  for (std::size_t next = 0; next < able.size(); ++next) {
    rank_id const r = able[next];
    auto const& list = p.ranks[r].instructions;
    for (auto& i = at[r.index()]; i < static_cast<std::int32_t>(list.size()); ++i) {
      auto const& what = list[static_cast<std::size_t>(i)];
      auto const number = static_cast<std::size_t>(d.number({r, i}));
      auto const partner = d.partner[number];
      if (what.code == opcode::receive) {
        if (partner == dependencies::none) break;
        if (partner - d.first[what.peer.index()] >= at[what.peer.index()]) {
          waiter[static_cast<std::size_t>(partner)] = r;
          break;
        }
      } else if (is_collective(what.code)) {
        if (partner == dependencies::none || --missing[static_cast<std::size_t>(partner)] > 0)
          break;
        for (auto const member : d.members_of(d.collectives[static_cast<std::size_t>(partner)])) {
          auto const point = d.point(member);
          order.push_back(point);
          if (point.rank == r) continue;
          ++at[point.rank.index()];
          able.push_back(point.rank);
        }
        continue;
      }
      order.push_back({r, i});
      if (what.code == opcode::send && waiter[number] >= 0) able.push_back(waiter[number]);
    }
  }
  return order;
}

}  // namespace shunt

namespace shunt::detail {

/// Says why ranks wait forever.
class deadlock_report {
 public:
  deadlock_report(program const& p, dependencies const& d, std::vector<program_point> const& order)
      : program_(p), d_(d), at_(p.ranks.size(), 0) {
    for (auto const point : order) at_[point.rank.index()] = point.instruction + 1;
  }

  /// Requires a rank that has not ended.
  [[nodiscard]] std::string operator()() const {
    std::vector<rank_id> path;
    for (rank_id const r : ids<rank_id>(at_.size()))
      if (path.empty() && !ended(r)) path.push_back(r);
    std::optional<rank_id> next;
    for (;; path.push_back(*next)) {
      next = awaited(path.back());
      if (!next) return name(path.back()) + " would wait forever: it has no counterpart";
      if (std::find(path.begin(), path.end(), *next) != path.end()) break;
    }
    auto const seen = std::find(path.begin(), path.end(), *next);
    std::string circle = "ranks wait for each other: ";
    constexpr std::ptrdiff_t most = 6;
    auto const length = path.end() - seen;
    for (auto at = seen; at != path.end(); ++at)
      if (at - seen < most) circle += name(*at) + " for ";
    if (length > most) circle += std::to_string(length - most) + " more, and these for ";
    return circle + "rank " + number(*seen);
  }

 private:
  static std::string number(rank_id r) { return std::to_string(r.value()); }
  [[nodiscard]] bool ended(rank_id r) const {
    return at_[r.index()] == static_cast<std::int32_t>(program_.ranks[r].instructions.size());
  }
  [[nodiscard]] instruction const& waiting(rank_id r) const {
    return program_.ranks[r].instructions[static_cast<std::size_t>(at_[r.index()])];
  }
  [[nodiscard]] std::string name(rank_id r) const {
    return "rank " + number(r) + ", instruction " + std::to_string(at_[r.index()]) + " (" +
           std::string(to_string(waiting(r).code)) + ")";
  }
  /// Returns the rank for whose instruction a rank waits, or nothing where there is no such
  /// instruction.
  [[nodiscard]] std::optional<rank_id> awaited(rank_id r) const {
    auto const partner = d_.partner[static_cast<std::size_t>(d_.number({r, at_[r.index()]}))];
    if (partner == dependencies::none) return {};
    if (waiting(r).code == opcode::receive) return waiting(r).peer;
    for (auto const member : d_.members_of(d_.collectives[static_cast<std::size_t>(partner)])) {
      if (member == dependencies::none) return {};
      auto const point = d_.point(member);
      if (at_[point.rank.index()] != point.instruction) return point.rank;
    }
    return {};
  }

  program const& program_;
  dependencies const& d_;
  std::vector<std::int32_t> at_;  // by rank: the instruction that it waits at, or the length
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void require_runnable(program const& p, dependencies const& d,
                                   std::vector<program_point> const& order) {
  if (order.size() < p.instructions())
    throw invalid_program(detail::deadlock_report(p, d, order)());
}

SHUNT_INLINE void require_runnable(program const& p) {
  auto const d = find_dependencies(p);
  require_runnable(p, d, serial_order(p, d));
}

}  // namespace shunt
