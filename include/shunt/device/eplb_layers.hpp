#pragma once
/// EPLB's placement of many layers on a device, one team of threads a layer.
/// Results equal those of solve/experts/eplb.hpp to the bit.
/// See docs/device-code.md.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/team.hpp"

namespace shunt {

/// Places experts over all ranks or, where groups bind experts to nodes, within each node.
/// A layer with a group that fits on no node gets -1 in all its slots (the host: infeasible).
/// Requires 1 <= experts <= slots and a problem that problem/expert_layers.hpp accepts; a device
/// does not check this.
/// Complexity: at most 20 + log9 E + 4 times eight sums for the replica counts, then S comparisons
/// of a warp over N ranks.
struct eplb_layers {
  std::int64_t const* loads = nullptr;  ///< layers x experts
  std::int32_t experts = 0;
  std::int32_t ranks = 0;
  std::int32_t slots = 0;  ///< of a layer, over all ranks
  /// ranks + 1 entries: slots first_slot[r] .. first_slot[r + 1] - 1 belong to rank r.
  std::int32_t const* first_slot = nullptr;
  std::int32_t* expert_of = nullptr;  ///< layers x slots, written
  std::int32_t* replicas = nullptr;   ///< layers x experts, written; nullptr: not wanted
  std::int32_t groups = 0;            ///< as in expert_layers
  std::int32_t ranks_per_node = 0;    ///< as in expert_layers

  /// Returns the bytes of shared memory of a team.
  [[nodiscard]] constexpr std::int64_t shared_bytes() const {
    std::int64_t const flat = 12 * std::int64_t{detail::power_of_two_from(experts)} +
                              16 * std::int64_t{ranks} + 8 * std::int64_t{experts};
    return grouped() ? flat + 16 * (std::int64_t{nodes()} + groups) + 16 : flat;
  }

  /// Places one layer.
  /// Requires `shared` aligned to 8 bytes.
  template <class Team>
  SHUNT_HD constexpr void operator()(Team const& team, std::int32_t layer,
                                     unsigned char* shared) const {
    detail::shared_cutter cut(shared);
    memory m{};
    m.load = loads + std::int64_t{layer} * experts;
    m.placed = expert_of + std::int64_t{layer} * slots;
    m.replicas = replicas == nullptr ? nullptr : replicas + std::int64_t{layer} * experts;
    m.shares = cut.template take<std::uint64_t>(detail::power_of_two_from(experts));
    m.rank_load = cut.template take<std::uint64_t>(ranks);
    m.order = cut.template take<std::int32_t>(detail::power_of_two_from(experts));
    m.next = cut.template take<std::int32_t>(ranks);
    m.end = cut.template take<std::int32_t>(ranks);
    m.counts = cut.template take<std::int32_t>(experts);
    m.names = cut.template take<std::int32_t>(experts);
    if (grouped()) return by_nodes(team, m, cut);
    detail::each_item(team, experts, [&](std::int32_t e) { m.names[e] = e; });
    solve(team, m, 0, experts, 0, ranks);
  }

 private:
  struct memory {
    std::int64_t const* load;
    std::int32_t *placed, *replicas;
    std::uint64_t *shares, *rank_load;  // bits of doubles
    std::int32_t *order, *next, *end, *counts, *names;
  };
  static constexpr std::uint64_t full = ~std::uint64_t{0};  ///< above the bits of any number

  [[nodiscard]] SHUNT_HD constexpr std::int32_t nodes() const {
    return ranks_per_node == 0 ? 1 : (ranks + ranks_per_node - 1) / ranks_per_node;
  }
  /// Returns whether groups bind experts to nodes: as EPLB's rule has it, where nodes divide them.
  [[nodiscard]] SHUNT_HD constexpr bool grouped() const {
    return groups > 0 && nodes() > 1 && groups % nodes() == 0;
  }
  [[nodiscard]] SHUNT_HD constexpr std::int32_t first_of_group(std::int32_t g) const {
    std::int32_t const larger = experts % groups;
    return g * (experts / groups) + (g < larger ? g : larger);
  }
  [[nodiscard]] SHUNT_HD constexpr std::int32_t first_rank(std::int32_t node) const {
    return node == nodes() ? ranks : node * ranks_per_node;
  }

  // Bits of non-negative doubles are ordered like the numbers.
  SHUNT_HD static constexpr std::uint64_t bits_of(double x) {
    return __builtin_bit_cast(std::uint64_t, x);
  }
  SHUNT_HD static constexpr double number_of(std::uint64_t bits) {
    return __builtin_bit_cast(double, bits);
  }
  SHUNT_HD static constexpr double share_of(std::int64_t load, std::int64_t copies) {
    return static_cast<double>(load) / static_cast<double>(copies);
  }

  /// Assigns groups in descending order of load, each to the least loaded node with room, then
  /// solves each node.
  template <class Team>
  SHUNT_HD constexpr void by_nodes(Team const& team, memory const& m,
                                   detail::shared_cutter cut) const {
    auto* const group_load = cut.template take<std::uint64_t>(groups);
    auto* const node_load = cut.template take<std::uint64_t>(nodes());
    auto* const order = cut.template take<std::int32_t>(groups);
    auto* const node_of = cut.template take<std::int32_t>(groups);
    auto* const held = cut.template take<std::int32_t>(nodes());
    auto* const taken = cut.template take<std::int32_t>(nodes());  // counts experts
    auto* const failed = cut.template take<std::int32_t>(1);

    team.each([&](std::int32_t t) {
      if (t == 0) *failed = 0;
      for (std::int32_t g = t; g < groups; g += team.size()) {
        group_load[g] = 0;
        for (std::int32_t e = first_of_group(g); e < first_of_group(g + 1); ++e)
          group_load[g] += static_cast<std::uint64_t>(m.load[e]);
      }
      for (std::int32_t n = t; n < nodes(); n += team.size())
        node_load[n] = static_cast<std::uint64_t>(held[n] = taken[n] = 0);
    });
    detail::each_item(team, groups, [&](std::int32_t g) {
      std::int32_t before = 0;
      for (std::int32_t b = 0; b < groups; ++b)
        before += group_load[b] > group_load[g] || (group_load[b] == group_load[g] && b < g);
      order[before] = g;
    });
    team.narrow([&](auto const& warp) {
      std::int32_t const most = (groups + nodes() - 1) / nodes();
      for (std::int32_t i = 0; i < groups; ++i) {
        std::int32_t const g = order[i], size = first_of_group(g + 1) - first_of_group(g);
        ranked_key const to = warp.least([&](std::int32_t t) {
          ranked_key mine;
          for (std::int32_t n = t; n < nodes(); n += warp.size()) {
            ranked_key const here{node_load[n], n};
            if (held[n] < most && taken[n] + size <= slots_of(n) && here.before(mine)) mine = here;
          }
          return mine;
        });
        warp.each([&](std::int32_t t) {
          if (t != 0) return;
          if (to.key == full) {
            *failed = 1;
            return;
          }
          node_of[g] = to.index;
          node_load[to.index] += group_load[g];
          ++held[to.index];
          taken[to.index] += size;
        });
      }
    });
    if (*failed != 0)
      return detail::each_item(team, slots, [&](std::int32_t s) { m.placed[s] = -1; });

    detail::each_item(team, nodes(), [&](std::int32_t n) {
      std::int32_t at = 0;
      for (std::int32_t before = 0; before < n; ++before) at += taken[before];
      for (std::int32_t g = 0; g < groups; ++g)
        for (std::int32_t e = first_of_group(g); node_of[g] == n && e < first_of_group(g + 1); ++e)
          m.names[at++] = e;
    });
    std::int32_t first = 0;
    for (std::int32_t n = 0; n < nodes(); first += taken[n++])
      if (taken[n] > 0) solve(team, m, first, taken[n], first_rank(n), first_rank(n + 1));
    // A node without a group (more nodes than groups) holds copies of expert 0 only.
    for (std::int32_t n = 0; n < nodes(); ++n) {
      if (taken[n] > 0) continue;
      team.each([&](std::int32_t t) {
        if (t == 0 && m.replicas != nullptr) m.replicas[0] += slots_of(n);
        for (std::int32_t s = first_slot[first_rank(n)] + t; s < first_slot[first_rank(n + 1)];
             s += team.size())
          m.placed[s] = 0;
      });
    }
  }
  [[nodiscard]] SHUNT_HD constexpr std::int32_t slots_of(std::int32_t node) const {
    return first_slot[first_rank(node + 1)] - first_slot[first_rank(node)];
  }

  /// Solves for the `n` experts m.names[first ..) on the ranks [from, to).
  template <class Team>
  SHUNT_HD constexpr void solve(Team const& team, memory const& m, std::int32_t first,
                                std::int32_t n, std::int32_t from, std::int32_t to) const {
    std::int32_t const* const names = m.names + first;
    replicate(team, m, names, n, std::int64_t{first_slot[to]} - first_slot[from]);
    std::int32_t const sorted = detail::power_of_two_from(n);
    // The sort is ascending, so the bits of the shares are inverted.
    detail::each_item(team, sorted, [&](std::int32_t i) {
      m.shares[i] = i < n ? ~bits_of(share_of(m.load[names[i]], m.counts[i])) : full;
      m.order[i] = i;
      if (m.replicas != nullptr && i < n) m.replicas[names[i]] = m.counts[i];
    });
    detail::sort_keys(team, sorted, m.shares, m.order);
    detail::each_item(team, to - from, [&](std::int32_t r) {
      m.next[r] = first_slot[from + r];
      m.end[r] = first_slot[from + r + 1];
      m.rank_load[r] = m.next[r] < m.end[r] ? bits_of(0.0) : full;
    });
    team.narrow([&](auto const& warp) {
      for (std::int32_t i = 0; i < n; ++i)
        for (std::int32_t k = m.counts[m.order[i]]; k > 0; --k)
          place(warp, m, to - from, names[m.order[i]], number_of(~m.shares[i]));
    });
  }

  /// Returns how many of load / 1, load / 2, .. are at least `least` > 0, at most `most`.
  SHUNT_HD static constexpr std::int64_t shares_from(std::int64_t load, double least,
                                                     std::int64_t most) {
    double const about = static_cast<double>(load) / least;
    if (about >= static_cast<double>(most) + 1) return most;
    auto count = static_cast<std::int64_t>(about);
    while (count > 0 && share_of(load, count) < least) --count;
    while (count < most && share_of(load, count + 1) >= least) ++count;
    return count < most ? count : most;
  }

  template <class Team>
  SHUNT_HD constexpr void replicate(Team const& team, memory const& m, std::int32_t const* names,
                                    std::int32_t n, std::int64_t all) const {
    std::int64_t const spare = all - n;
    std::int64_t const total =
        detail::sum_of(team, n, [&](std::int32_t i) { return m.load[names[i]]; });
    if (spare == 0 || total == 0) {
      detail::each_item(team, n, [&](std::int32_t i) {
        m.counts[i] = static_cast<std::int32_t>(all / n + (i < all % n));
      });
      return;
    }
    double const margin = 0x1p-40;  // exceeds the rounding error of a share
    std::uint64_t const above =
        bits_of(static_cast<double>(total) / static_cast<double>(spare) * (1 + margin));
    std::uint64_t const below =
        bits_of(static_cast<double>(total) / static_cast<double>(all) * (1 - margin));
    // Elements are experts from the last to the first; values are distances of a share below
    // `above`.
    auto const taken = [&](std::int32_t i, std::int64_t down) {
      return shares_from(m.load[names[n - 1 - i]],
                         number_of(above - static_cast<std::uint64_t>(down)), spare);
    };
    detail::cutoff const cut =
        detail::choose_least(team, n, spare, 0, static_cast<std::int64_t>(above - below), taken);
    detail::each_item(team, n, [&](std::int32_t i) {
      m.counts[n - 1 - i] = 1 + static_cast<std::int32_t>(taken(i, cut.of(i)));
    });
  }

  /// Places one replica. The thread that owns a rank updates that rank's state.
  template <class Team>
  SHUNT_HD constexpr void place(Team const& team, memory const& m, std::int32_t count,
                                std::int32_t expert, double share) const {
    ranked_key const to = team.least([&](std::int32_t t) {
      ranked_key mine;
      for (std::int32_t r = t; r < count; r += team.size())
        if (ranked_key const here{m.rank_load[r], r}; here.before(mine)) mine = here;
      return mine;
    });
    team.each([&](std::int32_t t) {
      if (to.index % team.size() != t) return;
      std::int32_t const r = to.index, slot = m.next[r]++;
      m.placed[slot] = expert;
      m.rank_load[r] = slot + 1 == m.end[r] ? full : bits_of(number_of(m.rank_load[r]) + share);
    });
  }
};

}  // namespace shunt
