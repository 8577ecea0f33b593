#pragma once
#include <algorithm>
#include <concepts>
#include <map>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"

namespace shunt {

/// Losses as the processes of the survivors report them, each with times of its own, put together.
/// Loss: loss or what adds to it.
template <std::derived_from<loss> Loss = loss>
class merged_losses {
 public:
  /// Says that a process of this rank was killed, `at` nanoseconds of the steady clock.
  void killed(rank_id r, ticks at) { killed_at_[r] = at; }
  void receive(rank_id from, Loss l) { seen_[from].push_back(std::move(l)); }

  /// Returns each loss once, by the time at which it was noticed: phase by phase the longest of the
  /// ranks that count. A kill that was said is noticed from that moment on.
  template <class Counts>
  [[nodiscard]] std::vector<Loss> merged(Counts const& counts) const {
    std::vector<Loss> all;
    for (auto const& [rank, seen] : seen_) {
      if (!counts(rank)) continue;
      for (auto l : seen) {
        ticks since = 0;
        for (auto const r : l.ranks)
          if (auto const at = killed_at_.find(r); at != killed_at_.end() && at->second <= l.noticed)
            since = std::max(since, at->second);
        if (since > 0) l.detect = l.noticed - since;
        auto const same = std::find_if(all.begin(), all.end(), [&](auto const& k) {
          return k.ranks == l.ranks && k.iteration == l.iteration;
        });
        if (same == all.end()) {
          all.push_back(std::move(l));
          continue;
        }
        for (auto const phase : {&loss::detect, &loss::agree, &loss::restore, &loss::replan,
                                 &loss::rebuild, &loss::redo})
          (*same).*phase = std::max((*same).*phase, l.*phase);
        same->instructions_lost += l.instructions_lost;
        same->steps_undone = std::max(same->steps_undone, l.steps_undone);
      }
    }
    std::sort(all.begin(), all.end(),
              [](auto const& a, auto const& b) { return a.noticed < b.noticed; });
    return all;
  }

 private:
  std::map<rank_id, std::vector<Loss>> seen_{};
  std::map<rank_id, ticks> killed_at_{};
};

}  // namespace shunt
