#pragma once
#include "shunt/simulate/lanes.hpp"

#include <cstddef>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE lanes::lanes(program const& p) {
  several_.assign(p.ranks.size(), false);
  bool any = false;
  std::int32_t count = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& list = p.ranks[r].instructions;
    for (auto const& i : list)
      several_[r.index()] = several_[r.index()] || i.lane != list.front().lane;
    any = any || several_[r.index()];
    count += static_cast<std::int32_t>(list.size());
  }
  if (!any) return;
  share_links_ = find_shared_links(p);
  first_.assign(static_cast<std::size_t>(count) + 1, 0);
  waits_.assign(static_cast<std::size_t>(count), 0);
  each_edge(p, [&](std::int32_t from, std::int32_t to) {
    ++first_[static_cast<std::size_t>(from) + 1];
    ++waits_[static_cast<std::size_t>(to)];
  });
  for (std::size_t n = 1; n < first_.size(); ++n) first_[n] += first_[n - 1];
  next_.resize(static_cast<std::size_t>(first_.back()));
  auto at = first_;
  each_edge(p, [&](std::int32_t from, std::int32_t to) {
    next_[static_cast<std::size_t>(at[static_cast<std::size_t>(from)]++)] = to;
  });
}

SHUNT_INLINE std::span<std::int32_t const> lanes::next(std::int32_t number) const {
  auto const n = static_cast<std::size_t>(number);
  return std::span(next_).subspan(static_cast<std::size_t>(first_[n]),
                                  static_cast<std::size_t>(first_[n + 1] - first_[n]));
}

SHUNT_INLINE bool lanes::find_shared_links(program const& p) {
  struct user {
    rank_id rank;
    std::uint8_t lane;
  };
  std::vector<user> users(p.ranks.size(), {-1, 0});  // by peer: who sent there last, on which lane
  for (rank_id const r : ids<rank_id>(p.ranks.size()))
    for (auto const& i : p.ranks[r].instructions) {
      if (i.code != opcode::send) continue;
      auto& last = users[i.peer.index()];
      if (last.rank == r && last.lane != i.lane) return true;
      last = {r, i.lane};
    }
  return false;
}

}  // namespace shunt
