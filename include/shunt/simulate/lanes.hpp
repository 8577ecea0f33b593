#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// What starts what within the ranks of a program: along each lane and along `after`. A rank with
/// one lane needs no table: its list is its lane. Instructions are numbered as in `dependencies`.
/// O(n) time and memory, none where no rank has several lanes.
class lanes {
 public:
  explicit lanes(program const& p);

  /// Whether a rank has several lanes. The rest is for such ranks only.
  [[nodiscard]] bool several(rank_id r) const { return several_[r.index()]; }
  /// Whether two lanes of a rank send to the same peer, so that it matters which comes first.
  [[nodiscard]] bool share_links() const { return share_links_; }
  /// How many instructions must end before each starts, by number; empty where no rank has several
  /// lanes.
  [[nodiscard]] std::vector<std::int32_t> const& waits() const { return waits_; }
  /// What waits for an instruction's end, by number.
  [[nodiscard]] std::span<std::int32_t const> next(std::int32_t number) const;

 private:
  [[nodiscard]] static bool find_shared_links(program const& p);

  template <class Edge>
  void each_edge(program const& p, Edge&& edge) const {
    std::int32_t begin = 0;
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      rank_program const& own = p.ranks[r];
      std::array<std::int32_t, 256> last;
      last.fill(-1);
      std::int32_t number = begin;
      if (several_[r.index()])
        for (auto const& i : own.instructions) {
          if (last[i.lane] >= 0) edge(last[i.lane], number);
          for (auto const w : own.after(i)) edge(begin + w, number);
          last[i.lane] = number++;
        }
      begin += static_cast<std::int32_t>(own.instructions.size());
    }
  }

  std::vector<bool> several_{};
  bool share_links_ = false;
  std::vector<std::int32_t> waits_{}, first_{}, next_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/simulate/lanes.ipp"
#endif
