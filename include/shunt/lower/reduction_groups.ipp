#pragma once
#include "shunt/lower/reduction_groups.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<reduction_group> reduction_groups(expert_placement const& placement,
                                                              layer_id layer) {
  struct neighbours {
    rank_id first, last;
    expert_id expert;
  };
  auto const hosts = hosts_of(placement, layer);
  std::vector<neighbours> intervals;
  for (expert_id e : ids<expert_id>(hosts.size())) {
    if (hosts[e].size() < 2) continue;
    neighbours const i{hosts[e].front().rank, hosts[e].back().rank, e};
    if (i.last.index() - i.first.index() + 1 == hosts[e].size()) intervals.push_back(i);
  }
  std::sort(intervals.begin(), intervals.end(), [](neighbours const& a, neighbours const& b) {
    return a.first < b.first || (a.first == b.first && a.expert < b.expert);
  });
  std::array<std::vector<reduction_group>, 2> rounds;
  std::array<rank_id, 2> taken{-1, -1};  // by round: its last member so far
  for (neighbours const& i : intervals)
    for (std::size_t round = 0; round < 2; ++round) {
      if (i.first <= taken[round]) continue;
      taken[round] = i.last;
      rounds[round].push_back({i.expert, static_cast<std::int32_t>(round), {}});
      for (expert_host const& h : hosts[i.expert]) rounds[round].back().members.push_back(h.rank);
      break;
    }
  rounds[0].insert(rounds[0].end(), rounds[1].begin(), rounds[1].end());
  return std::move(rounds[0]);
}

}  // namespace shunt
