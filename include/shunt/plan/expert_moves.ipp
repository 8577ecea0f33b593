#pragma once
#include "shunt/plan/expert_moves.hpp"

#include <cstddef>
#include <cstdint>
#include <tuple>

#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<expert_move> expert_moves_of(expert_layers const& problem,
                                                         expert_placement const& plan) {
  std::vector<expert_move> moves;
  if (problem.previous.empty()) return moves;
  std::vector<rank_id> rank_of;
  for (rank_id r : ids<rank_id>(plan.ranks()))
    for (auto s = plan.first_slot[r.index()]; s < plan.first_slot[r.index() + 1]; ++s)
      rank_of.push_back(r);
  auto const node_of = [&](rank_id r) {
    return problem.ranks_per_node == 0 ? 0 : r.value() / problem.ranks_per_node;
  };
  indexed<rank_id, std::int32_t> sent(static_cast<std::size_t>(plan.ranks()), 0);
  indexed<expert_id, std::vector<slot_id>> held(static_cast<std::size_t>(plan.experts));
  std::vector<slot_id> arrived(held.size());  // on the receiver at hand
  std::vector<rank_id> arrived_at(held.size());
  for (layer_id l : ids<layer_id>(plan.layers)) {
    auto const before = problem.previous_of(l);
    auto const after = plan.layer(l);
    for (auto& slots : held) slots.clear();
    for (std::size_t s = 0; s < before.size(); ++s)
      if (before[s] != expert_id{-1}) held[before[s]].emplace_back(s);
    arrived_at.assign(held.size(), expert_move::outside);
    for (std::size_t s = 0; s < after.size(); ++s) {
      expert_id const e = after[s];
      if (before[s] == e) continue;
      expert_move move{.layer = l, .expert = e, .to = s, .receiver = rank_of[s]};
      auto best = std::tuple(3, std::int32_t{0}, std::int32_t{0});
      for (slot_id const from : held[e]) {
        rank_id const sender = rank_of[from.index()];
        int const distance = sender == move.receiver                     ? 0
                             : node_of(sender) == node_of(move.receiver) ? 1
                                                                         : 2;
        auto const found = std::tuple(distance, distance == 0 ? 0 : sent[sender], from.value());
        if (!(found < best)) continue;
        best = found;
        move.from = from;
        move.sender = sender;
      }
      if (std::get<0>(best) != 0 && arrived_at[e.index()] == move.receiver) {
        move.from = arrived[e.index()];
        move.sender = move.receiver;
      }
      if (move.sender != move.receiver) {
        if (!move.is_outside()) ++sent[move.sender];
        arrived[e.index()] = move.to;
        arrived_at[e.index()] = move.receiver;
      }
      moves.push_back(move);
    }
  }
  return moves;
}

}  // namespace shunt
