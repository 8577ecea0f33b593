#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace shunt::detail {

/// Dependency graph whose nodes can be merged. Merged nodes complete together, once every
/// predecessor of each has completed (both ends of an unbuffered message, members of a collective).
/// Complexity: O(nodes + edges).
class event_graph {
 public:
  constexpr explicit event_graph(std::size_t things)
      : joined_(things, unjoined), first_(things + 1, 0), done_(things, 0) {}

  /// Adds an edge in two passes: announce all edges with `count`, call `counted()`, then insert all
  /// with `wait`. `later` completes after `earlier`.
  constexpr void count(std::size_t earlier) { ++first_[earlier + 1]; }
  constexpr void counted() {
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
    later_.resize(first_.back());
    at_.assign(first_.begin(), first_.end() - 1);
    waits_.assign(joined_.size(), 0);
  }
  constexpr void wait(std::size_t earlier, std::size_t later) {
    later_[at_[earlier]++] = later;
    ++waits_[later];
  }
  /// Merges the cyclic lists of a and b.
  /// Requires that they are in different lists.
  constexpr void join(std::size_t a, std::size_t b) {
    if (joined_[a] == unjoined) joined_[a] = a;
    if (joined_[b] == unjoined) joined_[b] = b;
    std::swap(joined_[a], joined_[b]);
  }

  /// Completes nodes in topological order. Nodes on a cycle stay incomplete.
  constexpr void run() {
    std::vector<std::size_t> able;
    for (std::size_t i = 0; i < joined_.size(); ++i)
      if (can_happen(i)) happen(i, able);
    while (!able.empty()) {
      auto const i = able.back();
      able.pop_back();
      if (can_happen(i)) happen(i, able);
    }
  }
  [[nodiscard]] constexpr bool happened(std::size_t i) const { return done_[i] != 0; }

 private:
  static constexpr std::size_t unjoined = static_cast<std::size_t>(-1);

  [[nodiscard]] constexpr bool can_happen(std::size_t i) const {
    if (done_[i] != 0 || waits_[i] > 0) return false;
    if (joined_[i] == unjoined) return true;
    for (std::size_t k = joined_[i]; k != i; k = joined_[k])
      if (waits_[k] > 0) return false;
    return true;
  }
  constexpr void happen(std::size_t i, std::vector<std::size_t>& able) {
    std::size_t k = i;
    do {
      done_[k] = 1;
      for (std::size_t e = first_[k]; e < first_[k + 1]; ++e)
        if (--waits_[later_[e]] == 0) able.push_back(later_[e]);
      k = joined_[k] == unjoined ? i : joined_[k];
    } while (k != i);
  }

  std::vector<std::size_t> joined_;  // cyclic lists of merged nodes
  std::vector<std::size_t> first_, at_{}, later_{};
  std::vector<std::int32_t> waits_{};
  std::vector<std::uint8_t> done_;
};

}  // namespace shunt::detail
