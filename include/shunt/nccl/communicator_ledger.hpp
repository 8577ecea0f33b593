#pragma once
/// When communicators are made and dropped: on first use, and least recently used beyond a bound.
///
/// N ranks have N(N-1)/2 intervals, of which a rank is in 1,055 where N = 64, too many to keep.
/// Disjoint groups are made by one split: the groups of one MoE layer, intervals that form a path,
/// take two. See docs/device-code.md.
/// Reference: SwiftMoE (SYMI), arXiv 2504.19925, section 4.2.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/nccl/message_routes.hpp"

namespace shunt {

/// Records which ranks hold which communicators, for all ranks. Every rank keeps one and updates it
/// with the same programs in the same order.
class communicator_ledger {
 public:
  /// Required changes, in this order: each rank finalizes the dropped communicators that it is in,
  /// then takes part in every split.
  struct change {
    std::vector<communicator_key> dropped{};
    std::vector<std::vector<communicator_key>>
        splits{};  ///< no two parts of one split share a rank
    bool operator==(change const&) const = default;
  };

  /// `bound` is the largest number of communicators of a rank.
  explicit communicator_ledger(std::int32_t bound) : bound_(bound) {}

  /// Adds the communicators that a program needs; drops the least recently used ones of ranks
  /// beyond the bound.
  /// Returns the changes.
  /// Throws invalid_program where one program needs more than the bound on a rank.
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

  /// Removes all entries: after a failure all communicators are gone.
  void clear() { used_.clear(); }
  [[nodiscard]] std::size_t size() const { return used_.size(); }
  [[nodiscard]] bool knows(communicator_key const& key) const { return used_.contains(key); }

 private:
  /// Disjoint intervals taken in the order of their lowest rank need as few splits as intervals
  /// overlap at one rank.
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
  std::map<communicator_key, std::int64_t> used_{};  // program number of the last use
};

}  // namespace shunt
