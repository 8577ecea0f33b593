#pragma once
#include "shunt/solve/experts/search/group_packing.hpp"

#include <algorithm>
#include <numeric>

#include "shunt/core/units.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR group_packing::group_packing(expert_layers const& problem)
    : nodes_(static_cast<std::size_t>(problem.nodes())),
      sizes_(deal_slots(problem.experts, problem.groups)),
      order_(sizes_.size()),
      group_load_(sizes_.size()),
      load_(nodes_),
      held_(nodes_),
      experts_(nodes_),
      node_of_(sizes_.size()) {
  for (std::int32_t r = 0; r < problem.ranks(); ++r) {
    auto const node =
        static_cast<std::size_t>(problem.ranks_per_node == 0 ? 0 : r / problem.ranks_per_node);
    if (node >= slots_.size()) slots_.resize(node + 1, 0);
    slots_[node] += problem.slots_per_rank[static_cast<std::size_t>(r)];
  }
  std::size_t group = 0;
  for (auto const size : sizes_)
    group_of_.insert(group_of_.end(), static_cast<std::size_t>(size), group++);
}

SHUNT_CONSTEXPR std::span<std::size_t const> group_packing::operator()(
    std::span<std::int64_t const> loads) {
  std::fill(group_load_.begin(), group_load_.end(), 0);
  for (std::size_t e = 0; e < loads.size(); ++e) group_load_[group_of_[e]] += loads[e];
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    return group_load_[a] > group_load_[b] || (group_load_[a] == group_load_[b] && a < b);
  });
  std::fill(load_.begin(), load_.end(), 0);
  std::fill(held_.begin(), held_.end(), 0);
  std::fill(experts_.begin(), experts_.end(), 0);
  std::size_t const most = ceil_divide(sizes_.size(), nodes_);
  for (std::size_t const g : order_) {
    std::size_t best = nodes_;
    for (std::size_t n = 0; n < nodes_; ++n)
      if (held_[n] < most && experts_[n] + sizes_[g] <= slots_[n] &&
          (best == nodes_ || load_[n] < load_[best]))
        best = n;
    if (best == nodes_) return {};
    node_of_[g] = best;
    load_[best] += group_load_[g];
    ++held_[best];
    experts_[best] += sizes_[g];
  }
  return node_of_;
}

}  // namespace shunt::detail
