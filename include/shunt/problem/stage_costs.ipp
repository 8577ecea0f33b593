#pragma once
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks per_stage::operator[](stage_id s) const {
  return single_ ? one_ : list_[s.index()];
}

SHUNT_CONSTEXPR ticks per_stage::of(pipeline_id p, stage_id s, std::int32_t stages) const {
  if (single_) return one_;
  auto const row = static_cast<std::size_t>(stages);
  return list_[(list_.size() > row ? p.index() * row : 0) + s.index()];
}

SHUNT_CONSTEXPR ticks stage_costs::microbatch(stage_id s) const {
  return forward[s] + backward_input[s] + backward_weight[s];
}

SHUNT_CONSTEXPR ticks transfer_times::of_link(rank_id from, rank_id to) const {
  if (!matrix.empty()) return matrix[from.index() * static_cast<std::size_t>(ranks) + to.index()];
  return from.value() / ranks_per_node == to.value() / ranks_per_node ? within_node : between_nodes;
}

SHUNT_CONSTEXPR std::vector<ticks> transfer_times::values() const {
  if (matrix.empty()) return {within_node, between_nodes};
  std::vector<ticks> all;
  for (rank_id from = 0; from < ranks; from = from.value() + 1)
    for (rank_id to = 0; to < ranks; to = to.value() + 1) all.push_back((*this)(from, to));
  return all;
}

SHUNT_CONSTEXPR stash_cap stash_cap::per_worker(std::int64_t limit) {
  return {kind::per_worker, limit, {}};
}

SHUNT_CONSTEXPR stash_cap stash_cap::per_rank(std::vector<std::int64_t> limits) {
  return {kind::per_rank, 0, std::move(limits)};
}

}  // namespace shunt
