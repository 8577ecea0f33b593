#pragma once
#include "shunt/lower/gather_sources.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/lower/detail/source_balance.hpp"

namespace shunt {

SHUNT_CONSTEXPR rank_id gradient_source(std::span<expert_host const> hosts, rank_id target) {
  for (expert_host const& h : hosts)
    if (h.rank == target) return target;
  return hosts[target.index() % hosts.size()].rank;
}

SHUNT_CONSTEXPR indexed<expert_id, std::vector<rank_id>> balanced_sources(
    indexed<expert_id, std::vector<expert_host>> const& hosts,
    indexed<expert_id, std::vector<held_shard>> const& held,
    indexed<expert_id, char> const& gathered, std::int32_t ranks) {
  auto const hosted_by = [&](expert_id e, rank_id r) {
    return std::any_of(hosts[e].begin(), hosts[e].end(),
                       [r](expert_host const& h) { return h.rank == r; });
  };
  detail::source_balance balance(hosts, ranks);
  std::vector<expert_id> order;  // by number of hosts: those with fewest have the least choice
  for (expert_id e : ids<expert_id>(hosts.size())) {
    if (gathered[e]) order.push_back(e);
    if (!gathered[e])
      for (expert_host const& h : hosts[e])
        for (held_shard const& s : held[e]) balance.sends(h.rank, s.holder != h.rank);
  }
  std::sort(order.begin(), order.end(), [&](expert_id a, expert_id b) {
    return hosts[a].size() < hosts[b].size() || (hosts[a].size() == hosts[b].size() && a < b);
  });
  for (expert_id const e : order)
    for (held_shard const& s : held[e])
      if (!hosted_by(e, s.holder)) balance.one_more(e);
  while (balance.shift()) {}

  indexed<expert_id, std::vector<rank_id>> source(hosts.size());
  for (expert_id const e : order) {
    auto left = balance.served(e);
    std::size_t h = 0;
    for (held_shard const& s : held[e]) {
      bool const own = hosted_by(e, s.holder);
      while (!own && left[h] == 0) ++h;
      source[e].push_back(own ? s.holder : hosts[e][h].rank);
      if (!own) --left[h];
    }
  }
  return source;
}

}  // namespace shunt
