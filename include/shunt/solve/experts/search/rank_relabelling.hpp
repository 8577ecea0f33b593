#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/assignment.hpp"

namespace shunt::detail {

/// Deals the rows of a layer's placement (the slots of one rank each) anew among the ranks so that
/// the sum of a gain is largest. Rank loads only change places, so the balance stays the same.
/// A row only goes to a rank with as many slots. If the problem binds experts to groups and has
/// several nodes, the rows of a node stay together and go to a node with the same slots. If no
/// exchange gains, all rows stay.
/// Complexity: O(N^3) for N ranks, one assignment per number of slots; with nodes of n ranks, first
/// O(N^2 n) for all pairs of nodes, then one assignment of the nodes.
class rank_relabelling {
 public:
  SHUNT_CONSTEXPR explicit rank_relabelling(expert_layers const& problem);

  /// Maximises the sum of `gain(row, rank)`, the gain of `rank` receiving the row of rank `row`.
  /// Returns the row of each rank.
  /// Requires gains of at least 0 and sums times the number of ranks below 2^62.
  template <class Gain>
  SHUNT_CONSTEXPR std::span<std::size_t const> operator()(Gain const& gain) {
    std::size_t const n = nodes_.size();
    std::vector<char> given(n, 0);  // nodes of a shape already handled
    for (std::size_t first = 0; first < n; ++first) {
      if (given[first]) continue;
      std::vector<std::size_t> alike;
      for (std::size_t other = first; other < n; ++other)
        if (!given[other] && same_shape(nodes_[first], nodes_[other])) {
          alike.push_back(other);
          given[other] = 1;
        }
      node_gains_.assign(alike.size() * alike.size(), 0);
      for (std::size_t a = 0; a < alike.size() && alike.size() > 1; ++a)
        for (std::size_t b = 0; b < alike.size(); ++b)
          node_gains_[a * alike.size() + b] = match(nodes_[alike[a]], nodes_[alike[b]], gain);
      auto const goes_to = better(between_nodes_, node_gains_, alike.size());
      for (std::size_t a = 0; a < alike.size(); ++a)
        match(nodes_[alike[a]], nodes_[alike[goes_to[a]]], gain);
    }
    return row_of_;
  }

 private:
  SHUNT_CONSTEXPR bool same_shape(std::span<std::size_t const> a,
                                  std::span<std::size_t const> b) const;

  /// Returns the best assignment, or the identity if it is as good.
  static SHUNT_CONSTEXPR std::vector<std::size_t> better(assignment& solver,
                                                         std::span<std::int64_t const> gains,
                                                         std::size_t n);

  /// Deals the rows of `from` to the ranks of `to`, which has the same shape.
  /// Returns the gain.
  template <class Gain>
  SHUNT_CONSTEXPR std::int64_t match(std::span<std::size_t const> from,
                                     std::span<std::size_t const> to, Gain const& gain) {
    std::int64_t sum = 0;
    for (std::size_t begin = 0, end = 0; begin < from.size(); begin = end) {
      while (end < from.size() && slots_[from[end]] == slots_[from[begin]]) ++end;
      std::size_t const n = end - begin;
      gains_.clear();
      for (std::size_t i = begin; i < end; ++i)
        for (std::size_t k = begin; k < end; ++k)
          gains_.push_back(slots_[from[i]] == 0 ? 0 : gain(from[i], to[k]));
      auto const goes_to = better(within_node_, gains_, n);
      for (std::size_t i = 0; i < n; ++i) {
        row_of_[to[begin + goes_to[i]]] = from[begin + i];
        sum += gains_[i * n + goes_to[i]];
      }
    }
    return sum;
  }

  std::vector<std::int32_t> slots_;
  std::vector<std::vector<std::size_t>> nodes_{};  ///< Ranks of each node, most slots first.
  assignment within_node_{}, between_nodes_{};
  std::vector<std::int64_t> gains_{}, node_gains_{};
  std::vector<std::size_t> row_of_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/rank_relabelling.ipp"
#endif
