#pragma once
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"

namespace example {

/// Losses as the survivors saw them, each with times of its own, put together. Loss: shunt::loss or
/// what adds to it.
template <class Loss>
class merged_losses {
 public:
  /// `at`: when a process of this rank was killed, in nanoseconds of the steady clock.
  void killed(shunt::rank_id r, shunt::ticks at) { killed_at_[r] = at; }
  void receive(shunt::rank_id from, Loss l) { seen_[from].push_back(std::move(l)); }

  /// Phase by phase the longest, of those ranks that count; who was killed from here is noticed
  /// from that moment on.
  template <class Counts>
  [[nodiscard]] std::vector<Loss> merged(Counts const& counts) const {
    std::vector<Loss> all;
    for (auto const& [rank, seen] : seen_) {
      if (!counts(rank)) continue;
      for (auto l : seen) {
        shunt::ticks since = 0;
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
        for (auto const phase : {&shunt::loss::detect, &shunt::loss::agree, &shunt::loss::restore,
                                 &shunt::loss::replan, &shunt::loss::rebuild, &shunt::loss::redo})
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
  std::map<shunt::rank_id, std::vector<Loss>> seen_{};
  std::map<shunt::rank_id, shunt::ticks> killed_at_{};
};

}  // namespace example
