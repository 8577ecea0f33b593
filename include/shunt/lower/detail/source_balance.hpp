#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt::detail {

/// Divides the messages of some experts over their hosts, see balanced_sources.
class source_balance {
 public:
  using host_table = indexed<expert_id, std::vector<expert_host>>;

  constexpr source_balance(host_table const& hosts, std::int32_t ranks)
      : hosts_(hosts),
        sends_(static_cast<std::size_t>(ranks), 0),
        hosted_(static_cast<std::size_t>(ranks)) {
    for (expert_id e : ids<expert_id>(hosts.size())) {
      served_.push_back(std::vector<std::int64_t>(hosts[e].size(), 0));
      for (std::size_t h = 0; h < hosts[e].size(); ++h) hosted_[hosts[e][h].rank].push_back({e, h});
    }
  }

  /// Counts messages that a rank sends under any choice.
  constexpr void sends(rank_id r, std::int64_t messages) { sends_[r] += messages; }

  /// Adds a message of an expert to the host that sends least, ties to the first.
  constexpr void one_more(expert_id e) {
    std::size_t least = 0;
    for (std::size_t h = 1; h < hosts_[e].size(); ++h)
      if (sends_[hosts_[e][h].rank] < sends_[hosts_[e][least].rank]) least = h;
    ++served_[e][least];
    ++sends_[hosts_[e][least].rank];
  }

  /// Moves a message away from the rank that sends most, along the shortest chain of shared
  /// experts.
  /// Returns false where no chain helps.
  constexpr bool shift() {
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

  /// Returns how many messages of an expert each of its hosts sends.
  [[nodiscard]] constexpr std::vector<std::int64_t> const& served(expert_id e) const {
    return served_[e];
  }

 private:
  struct hosted {
    expert_id expert{};
    std::size_t place = 0;  // among the expert's hosts
    constexpr bool operator==(hosted const&) const = default;
  };
  struct step {
    expert_id expert{};
    std::size_t giver = 0, taker = 0;  // among the expert's hosts
    bool known = false;
    constexpr bool operator==(step const&) const = default;
  };

  host_table const& hosts_;
  indexed<rank_id, std::int64_t> sends_;
  indexed<rank_id, std::vector<hosted>> hosted_;
  indexed<expert_id, std::vector<std::int64_t>> served_{};
};

}  // namespace shunt::detail
