#pragma once
#include "shunt/solve/experts/search/rank_relabelling.hpp"

#include <algorithm>

namespace shunt::detail {

SHUNT_CONSTEXPR rank_relabelling::rank_relabelling(expert_layers const& problem)
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

SHUNT_CONSTEXPR bool rank_relabelling::same_shape(std::span<std::size_t const> a,
                                                  std::span<std::size_t const> b) const {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](auto x, auto y) { return slots_[x] == slots_[y]; });
}

SHUNT_CONSTEXPR std::vector<std::size_t> rank_relabelling::better(
    assignment& solver, std::span<std::int64_t const> gains, std::size_t n) {
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

}  // namespace shunt::detail
