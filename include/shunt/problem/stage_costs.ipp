#pragma once
#include "shunt/problem/stage_costs.hpp"

#include <utility>

namespace shunt {

SHUNT_CONSTEXPR per_stage::per_stage(std::initializer_list<ticks> values)
    : per_stage(std::vector<ticks>(values)) {}

SHUNT_CONSTEXPR per_stage::per_stage(std::vector<ticks> values)
    : single_(values.size() == 1), one_(single_ ? values[0] : 0) {
  if (!single_) list_ = std::move(values);
}

SHUNT_CONSTEXPR std::vector<ticks> per_stage::values() const {
  if (single_) return {one_};
  return list_;
}

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

SHUNT_CONSTEXPR transfer_times::transfer_times(std::int32_t ranks_of_matrix,
                                               std::vector<ticks> from_to)
    : matrix(std::move(from_to)), ranks(ranks_of_matrix) {}

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
