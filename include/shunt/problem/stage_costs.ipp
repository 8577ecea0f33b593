#pragma once
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks per_stage::operator[](stage_id s) const {
  return single_ ? one_ : list_[s.index()];
}

SHUNT_CONSTEXPR ticks stage_costs::microbatch(stage_id s) const {
  return forward[s] + backward_input[s] + backward_weight[s];
}

SHUNT_CONSTEXPR ticks transfer_times::operator()(rank_id from, rank_id to) const {
  if (from == to) return 0;
  if (ranks_per_node == 0 || from.value() / ranks_per_node == to.value() / ranks_per_node)
    return within_node;
  return between_nodes;
}

SHUNT_CONSTEXPR stash_cap stash_cap::per_worker(std::int64_t limit) {
  return {kind::per_worker, limit, {}};
}

SHUNT_CONSTEXPR stash_cap stash_cap::per_rank(std::vector<std::int64_t> limits) {
  return {kind::per_rank, 0, std::move(limits)};
}

}  // namespace shunt
