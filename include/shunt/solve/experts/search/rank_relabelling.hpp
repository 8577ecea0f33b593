#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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
  constexpr explicit rank_relabelling(expert_layers const& problem)
      : slots_(problem.slots_per_rank) {
    bool const grouped = problem.groups > 0 && problem.nodes() > 1;
    std::size_t const per_node =
        grouped ? static_cast<std::size_t>(problem.ranks_per_node) : slots_.size();
    for (std::size_t r = 0; r < slots_.size(); ++r) {
      if (r % per_node == 0) nodes_.emplace_back();
      nodes_.back().push_back(r);
      row_of_.push_back(r);
    }
    for (auto& node : nodes_)
      std::sort(node.begin(), node.end(), [&](auto a, auto b) {
        return slots_[a] > slots_[b] || (slots_[a] == slots_[b] && a < b);
      });
  }

  /// Maximises the sum of `gain(row, rank)`, the gain of `rank` receiving the row of rank `row`.
  /// Returns the row of each rank.
  /// Requires gains of at least 0 and sums times the number of ranks below 2^62.
  template <class Gain>
  constexpr std::span<std::size_t const> operator()(Gain const& gain) {
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
  constexpr bool same_shape(std::span<std::size_t const> a, std::span<std::size_t const> b) const {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](auto x, auto y) { return slots_[x] == slots_[y]; });
  }

  /// Returns the best assignment, or the identity if it is as good.
  static constexpr std::vector<std::size_t> better(assignment& solver,
                                                   std::span<std::int64_t const> gains,
                                                   std::size_t n) {
    std::vector<std::size_t> columns(n, 0);
    std::int64_t stay = 0, best = 0;
    for (std::size_t i = 0; i < n; ++i) {
      columns[i] = i;
      stay += gains[i * n + i];
    }
    auto const found = solver(gains, n);
    for (std::size_t i = 0; i < n; ++i) best += gains[i * n + found[i]];
    if (best > stay) columns.assign(found.begin(), found.end());
    return columns;
  }

  /// Deals the rows of `from` to the ranks of `to`, which has the same shape.
  /// Returns the gain.
  template <class Gain>
  constexpr std::int64_t match(std::span<std::size_t const> from, std::span<std::size_t const> to,
                               Gain const& gain) {
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
