#pragma once
#include "shunt/measure/token_traffic.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR token_traffic traffic_of(token_split const& split,
                                         expert_placement const& placement,
                                         std::int32_t ranks_per_node) {
  if (split.sources != placement.ranks() || split.slots != placement.slots())
    throw std::invalid_argument("a split over " + std::to_string(split.sources) + " ranks and " +
                                std::to_string(split.slots) + " slots, a placement over " +
                                std::to_string(placement.ranks()) + " and " +
                                std::to_string(placement.slots()));
  token_traffic sum;
  indexed<rank_id, std::int64_t> received(static_cast<std::size_t>(placement.ranks()));
  auto const node_of = [&](rank_id r) {
    return ranks_per_node == 0 ? 0 : r.value() / ranks_per_node;
  };
  for (rank_id i : ids<rank_id>(placement.ranks())) {
    std::int64_t sent = 0;
    for (rank_id r : ids<rank_id>(placement.ranks())) {
      std::int64_t tokens = 0;
      for (std::int32_t s = placement.first_slot[r.index()];
           s < placement.first_slot[r.index() + 1]; ++s)
        tokens += split.sent(i, s);
      if (i == r) {
        sum.local += tokens;
        continue;
      }
      (node_of(i) == node_of(r) ? sum.within_nodes : sum.between_nodes) += tokens;
      sent += tokens;
      received[r] += tokens;
    }
    sum.most_sent = std::max(sum.most_sent, sent);
  }
  for (auto const tokens : received) sum.most_received = std::max(sum.most_received, tokens);
  return sum;
}

SHUNT_CONSTEXPR std::int64_t local_tokens(expert_layers const& problem,
                                          expert_placement const& placement, layer_id layer) {
  if (auto const wrong = mismatch(problem, placement); !wrong.empty())
    throw std::invalid_argument(wrong);
  if (problem.sources.empty()) throw std::invalid_argument("the layers have no sources");
  auto const slots = placement.layer(layer);
  auto const loads = problem.loads_of(layer);
  auto const experts = static_cast<std::size_t>(problem.experts);
  std::vector<std::int64_t> replicas(experts, 0), found(experts, 0), room(experts, 0);
  for (expert_id const e : slots) ++replicas[e.index()];
  std::int64_t local = 0;
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    auto const own = slots.subspan(static_cast<std::size_t>(placement.first_slot[r.index()]),
                                   static_cast<std::size_t>(placement.first_slot[r.index() + 1] -
                                                            placement.first_slot[r.index()]));
    auto const here = problem.sources_of(layer, r);
    for (expert_id const e : own) {
      std::size_t const i = e.index();
      room[i] += loads[i] / replicas[i] + (found[i]++ < loads[i] % replicas[i]);
    }
    for (expert_id const e : own)
      local += std::min(here[e.index()], std::exchange(room[e.index()], 0));
  }
  return local;
}

}  // namespace shunt
