#pragma once
/// The turn of each buffered send among the instructions of its rank.
///
/// A device's streams share few hardware queues, each of which starts its work in order. A send
/// that must wait, for the send before it or for its receiver, holds up every stream behind it in
/// its queue. So each send leaves in the turn of its receive in one serial order of all ranks: what
/// comes earlier in that order never needs it, and no circle forms even in a single queue.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// A send, and the instruction of its list before which it leaves; the list's size: at the end.
struct post {
  std::int32_t send = 0, before = 0;
  bool operator==(post const&) const = default;
};

/// Returns the sends of each rank in the order in which they leave. Receives of a batch that follow
/// each other have the turn of the last one, as they are one operation.
/// Requires a program that is runnable and whose messages all have a counterpart.
/// Complexity: O(n log n) in the number of the program's instructions.
[[nodiscard]] inline indexed<rank_id, std::vector<post>> post_order(program const& p) {
  auto const d = find_dependencies(p);
  auto const order = serial_order(p, d);
  std::vector<std::int32_t> turn(d.partner.size());  // by number
  for (std::size_t at = 0; at < order.size(); ++at)
    turn[static_cast<std::size_t>(d.number(order[at]))] = static_cast<std::int32_t>(at);
  for (rank_id const each : ids<rank_id>(p.ranks.size())) {
    auto const& list = p.ranks[each].instructions;
    for (std::size_t n = list.size(); n-- > 1;) {
      auto const &a = list[n - 1], &b = list[n];
      if (a.code != opcode::receive || b.code != opcode::receive) continue;
      auto const at = static_cast<std::size_t>(d.number({each, static_cast<std::int32_t>(n) - 1}));
      if (b.batch >= 0 && a.batch == b.batch) turn[at] = turn[at + 1];
    }
  }
  indexed<rank_id, std::vector<post>> posts(p.ranks.size());
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& list = p.ranks[r].instructions;
    auto const first = turn.begin() + d.first[r.index()];
    auto const last = first + static_cast<std::ptrdiff_t>(list.size());
    std::vector<std::pair<std::int32_t, std::int32_t>> sends;  // turn, instruction
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(list.size()); ++n)
      if (list[static_cast<std::size_t>(n)].code == opcode::send) {
        auto const received = d.partner[static_cast<std::size_t>(d.number({r, n}))];
        sends.emplace_back(turn[static_cast<std::size_t>(received)], n);
      }
    std::sort(sends.begin(), sends.end());
    for (auto const& [at, n] : sends)
      posts[r].push_back({n, static_cast<std::int32_t>(std::upper_bound(first, last, at) - first)});
  }
  return posts;
}

/// The post orders of the programs that were asked for last, at most eight, for all ranks of a
/// process. Thread-safe.
class shared_posts {
 public:
  /// Returns the order of a rank; of a program, the first call finds that of all ranks.
  /// Requires what post_order requires.
  [[nodiscard]] std::vector<post> of(std::shared_ptr<program const> const& p, rank_id r) {
    constexpr std::size_t most = 8;
    std::lock_guard const lock(mutex_);
    auto const at =
        std::find_if(known_.begin(), known_.end(), [&](auto const& k) { return k.first == p; });
    if (at != known_.end()) return at->second[r];
    if (known_.size() == most) known_.pop_front();
    return known_.emplace_back(p, post_order(*p)).second[r];
  }

 private:
  std::mutex mutex_{};
  std::deque<std::pair<std::shared_ptr<program const>, indexed<rank_id, std::vector<post>>>>
      known_{};
};

}  // namespace shunt::detail
