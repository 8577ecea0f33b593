#pragma once
#include "shunt/lower/detail/source_balance.hpp"

#include <algorithm>

namespace shunt::detail {

SHUNT_CONSTEXPR source_balance::source_balance(host_table const& hosts, std::int32_t ranks)
    : hosts_(hosts),
      sends_(static_cast<std::size_t>(ranks), 0),
      hosted_(static_cast<std::size_t>(ranks)) {
  for (expert_id e : ids<expert_id>(hosts.size())) {
    served_.push_back(std::vector<std::int64_t>(hosts[e].size(), 0));
    for (std::size_t h = 0; h < hosts[e].size(); ++h) hosted_[hosts[e][h].rank].push_back({e, h});
  }
}

SHUNT_CONSTEXPR void source_balance::one_more(expert_id e) {
  std::size_t least = 0;
  for (std::size_t h = 1; h < hosts_[e].size(); ++h)
    if (sends_[hosts_[e][h].rank] < sends_[hosts_[e][least].rank]) least = h;
  ++served_[e][least];
  ++sends_[hosts_[e][least].rank];
}

SHUNT_CONSTEXPR bool source_balance::shift() {
  rank_id const fullest = std::max_element(sends_.begin(), sends_.end()) - sends_.begin();
  indexed<rank_id, step> reached(sends_.size());
  indexed<expert_id, char> seen(hosts_.size(), 0);
  std::vector<rank_id> queue(1, fullest);
  reached[fullest].known = true;
  for (std::size_t next = 0; next < queue.size(); ++next)
    for (auto const& [e, giver] : hosted_[queue[next]]) {
      if (seen[e] || served_[e][giver] == 0) continue;
      seen[e] = 1;
      for (std::size_t taker = 0; taker < hosts_[e].size(); ++taker) {
        rank_id const r = hosts_[e][taker].rank;
        if (reached[r].known) continue;
        reached[r] = {e, giver, taker, true};
        queue.push_back(r);
        if (sends_[r] + 1 >= sends_[fullest]) continue;
        for (rank_id at = r; at != fullest;) {
          auto const& s = reached[at];
          --served_[s.expert][s.giver];
          ++served_[s.expert][s.taker];
          at = hosts_[s.expert][s.giver].rank;
        }
        ++sends_[r];
        --sends_[fullest];
        return true;
      }
    }
  return false;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> const& source_balance::served(expert_id e) const {
  return served_[e];
}

}  // namespace shunt::detail
