#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// The order of instructions within the ranks of a program: along each lane and along `after`. A
/// rank with one lane needs no table: its list is its lane. Instructions are numbered as in
/// `dependencies`.
/// Complexity: O(n + e) time and memory for n instructions and e entries in `after`; none where no
/// rank has several lanes.
class lanes {
 public:
  explicit lanes(program const& p) {
    several_.assign(p.ranks.size(), false);
    bool any = false;
    std::int32_t count = 0;
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      auto const& list = p.ranks[r].instructions;
      for (auto const& i : list)
        several_[r.index()] = several_[r.index()] || i.lane != list.front().lane;
      any = any || several_[r.index()];
      count += static_cast<std::int32_t>(list.size());
    }
    if (!any) return;
    share_links_ = find_shared_links(p);
    first_.assign(static_cast<std::size_t>(count) + 1, 0);
    waits_.assign(static_cast<std::size_t>(count), 0);
    each_edge(p, [&](std::int32_t from, std::int32_t to) {
      ++first_[static_cast<std::size_t>(from) + 1];
      ++waits_[static_cast<std::size_t>(to)];
    });
    for (std::size_t n = 1; n < first_.size(); ++n) first_[n] += first_[n - 1];
    next_.resize(static_cast<std::size_t>(first_.back()));
    auto at = first_;
    each_edge(p, [&](std::int32_t from, std::int32_t to) {
      next_[static_cast<std::size_t>(at[static_cast<std::size_t>(from)]++)] = to;
    });
  }

  /// Returns whether a rank has several lanes. `waits` and `next` are for such ranks only.
  [[nodiscard]] bool several(rank_id r) const { return several_[r.index()]; }
  /// Returns whether two lanes of a rank send to the same peer, so that their order matters.
  [[nodiscard]] bool share_links() const { return share_links_; }
  /// Returns how many instructions must end before each one starts, by number. Empty where no rank
  /// has several lanes.
  [[nodiscard]] std::vector<std::int32_t> const& waits() const { return waits_; }
  /// Returns the numbers of the instructions that wait for an instruction's end.
  [[nodiscard]] std::span<std::int32_t const> next(std::int32_t number) const {
    auto const n = static_cast<std::size_t>(number);
    return std::span(next_).subspan(static_cast<std::size_t>(first_[n]),
                                    static_cast<std::size_t>(first_[n + 1] - first_[n]));
  }

 private:
  [[nodiscard]] static bool find_shared_links(program const& p) {
    struct user {
      rank_id rank;
      std::uint8_t lane;
    };
    // By peer: the rank that sent there last, and its lane.
    std::vector<user> users(p.ranks.size(), {-1, 0});
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& i : p.ranks[r].instructions) {
        if (i.code != opcode::send) continue;
        auto& last = users[i.peer.index()];
        if (last.rank == r && last.lane != i.lane) return true;
        last = {r, i.lane};
      }
    return false;
  }

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

}  // namespace shunt::detail
