#pragma once
/// Dead ranks, and what an answer says of lost experts and of moves.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/required_moves.hpp"
#include "shunt/plan/expert_moves.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/live_ranks.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/elastic.hpp"

namespace place_experts {

/// Returns which ranks live: all but those of `dead`, "2,5". Throws invalid_problem, which names
/// the option, where one doesn't exist or is named twice, or none is left.
[[nodiscard]] inline std::vector<bool> live_ranks(std::string const& dead, std::int32_t ranks) {
  std::vector<bool> live(static_cast<std::size_t>(ranks), true);
  for (shunt::rank_id const r : example::parse_ranks("--dead", dead)) {
    if (r.value() < 0 || r.value() >= ranks)
      throw shunt::invalid_problem("--dead", "must be a rank below " + std::to_string(ranks) +
                                                 ", is " + to_string(r));
    if (!live[r.index()])
      throw shunt::invalid_problem("--dead", "names rank " + to_string(r) + " twice");
    live[r.index()] = false;
  }
  if (std::find(live.begin(), live.end(), true) == live.end())
    throw shunt::invalid_problem("--dead", "leaves no rank");
  return live;
}

/// Whether a layer lost an expert or has an empty slot.
[[nodiscard]] inline bool is_damaged(shunt::expert_layers const& layers) {
  if (layers.previous.empty()) return false;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers))
    if (shunt::required_moves(layers, l) > 0) return true;
  return false;
}

/// The placement on all ranks: -1 in the slots of dead ones.
[[nodiscard]] inline shunt::expert_placement on_all(shunt::expert_placement const& plan,
                                                    std::vector<std::int32_t> const& all_slots) {
  shunt::expert_placement all{.layers = plan.layers, .experts = plan.experts, .first_slot = {0}};
  for (auto const s : all_slots) all.first_slot.push_back(all.first_slot.back() + s);
  all.expert_of = shunt::on_all_ranks(plan, all_slots);
  return all;
}

/// Adds to the answer: slots of all ranks; the moves with their sources, the experts that no live
/// rank holds, and the moves that have to be made; and, with `balance`, the fewest moves found that
/// come to it.
inline void add_moves(nlohmann::ordered_json& answer, shunt::expert_layers const& layers,
                      shunt::expert_placement const& plan,
                      std::vector<std::int32_t> const& all_slots, std::optional<double> balance) {
  auto const all = on_all(plan, all_slots);
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
    auto slots = nlohmann::ordered_json::array();
    for (shunt::expert_id const e : all.layer(l)) slots.push_back(e.value());
    answer["layers"][l.index()]["slots"] = std::move(slots);
  }
  if (layers.previous.empty()) return;
  std::vector<std::int64_t> number;  // of each slot of the plan among those of all ranks
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(plan.ranks()))
    for (std::int32_t k = 0; k < plan.first_slot[r.index() + 1] - plan.first_slot[r.index()]; ++k)
      number.push_back(all.first_slot[r.index()] + k);
  auto const moves = shunt::expert_moves_of(layers, plan);
  auto next = moves.begin();
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
    auto& layer = answer["layers"][l.index()];
    layer["required_moves"] = shunt::required_moves(layers, l);
    if (balance) {
      auto const front = shunt::elastic{.balance = *balance}.front(layers, l);
      bool const reached = front.back().max_over_mean <= *balance;
      layer["moves_for_balance"] =
          reached ? nlohmann::ordered_json(front.back().moves) : nlohmann::ordered_json(nullptr);
    }
    auto lost = nlohmann::ordered_json::array();
    for (shunt::expert_id const e : shunt::lost_experts(layers, l)) lost.push_back(e.value());
    layer["lost"] = std::move(lost);
    auto list = nlohmann::ordered_json::array();
    for (; next != moves.end() && next->layer == l; ++next) {
      if (next->sender == next->receiver) continue;  // a copy within a rank
      nlohmann::ordered_json move{{"expert", next->expert.value()},
                                  {"slot", number[next->to.index()]},
                                  {"rank", next->receiver.value()},
                                  {"from", next->sender.value()}};
      move["from_slot"] = next->is_outside() ? -1 : number[next->from.index()];
      list.push_back(std::move(move));
    }
    layer["moves"] = std::move(list);
  }
}

}  // namespace place_experts
