#pragma once
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"
#include "json_lines.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/measured_slot_budget.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "solvers.hpp"

namespace place_experts {

/// The solver and settings that the command line asks for, as one solver.
struct chosen {
  static constexpr std::string_view name = "the solver";
  solver const* with = nullptr;
  settings set{};

  [[nodiscard]] placed operator()(shunt::expert_layers const& layers) const {
    return solve(layers, *with, set);
  }
};

/// Slots that all layers share, dealt to the layers and filled.
struct budgeted {
  shunt::solution<shunt::layer_slots> slots{};
  std::vector<placed> layers{};  ///< none where there is no dealing
  double evenly = 0;  ///< tokens of the fullest ranks, summed over the layers, with as many slots
                      ///< for each layer; -1: no placement

  [[nodiscard]] static double fullest(shunt::expert_layers const& layer, placed const& answer) {
    double most = 0;
    for (double const load : shunt::rank_loads(layer.loads, answer.plan, 0))
      most = std::max(most, load);
    return most;
  }
};

[[nodiscard]] inline budgeted place_budgeted(shunt::expert_layers const& problem,
                                             std::int32_t slots, chosen const& with) {
  shunt::slot_budget const budget{.memory = shunt::deal_slots(slots, problem.ranks())};
  budgeted answer{
      .slots = shunt::measured_slot_budget<chosen>{.budget = budget, .solver = with}(problem)};
  if (!answer.slots.has_plan()) return answer;
  answer.layers = shunt::place_layers(problem, answer.slots.plan, with);
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(problem.layers)) {
    auto one = layer_of(problem, l);
    one.slots_per_rank = shunt::deal_slots(
        slots / problem.layers + (l.value() < slots % problem.layers), problem.ranks());
    auto const even = with(one);
    answer.evenly =
        even.has_plan() && answer.evenly >= 0 ? answer.evenly + budgeted::fullest(one, even) : -1;
  }
  return answer;
}

inline void write_budgeted(std::ostream& out, bool as_json, shunt::expert_layers const& problem,
                           budgeted const& answer, std::string const& solver) {
  nlohmann::ordered_json all{{"solver", solver},
                             {"status", to_string(answer.slots.status)},
                             {"layers", nlohmann::ordered_json::array()}};
  if (!as_json)
    out << solver << ", " << to_string(answer.slots.status)
        << ": tokens of the fullest ranks, all layers: " << answer.slots.objective << ", at best "
        << answer.slots.lower_bound << ", with as many slots for every layer " << answer.evenly
        << '\n';
  for (shunt::layer_id l :
       shunt::ids<shunt::layer_id>(answer.layers.empty() ? 0 : problem.layers)) {
    auto const& plan = answer.layers[l.index()].plan;
    auto const one = layer_of(problem, answer.slots.plan, l);
    double const balance = shunt::max_over_mean(one.loads, plan, 0),
                 tokens = budgeted::fullest(one, answer.layers[l.index()]);
    if (!as_json) {
      out << "layer " << l.value() << ", " << plan.slots() << " slots, largest over mean "
          << balance << ':';
      write_slots(out, plan, 0);
      out << '\n';
      continue;
    }
    auto held = nlohmann::ordered_json::array();
    for (shunt::expert_id const e : plan.layer(0)) held.push_back(e.value());
    all["layers"].push_back({{"slots_per_rank", one.slots_per_rank},
                             {"replicas", shunt::replica_counts(plan, 0).items()},
                             {"slots", std::move(held)},
                             {"max_over_mean", balance},
                             {"fullest_rank_tokens", tokens}});
  }
  if (!as_json) return;
  all["tokens"] =
      answer.slots.has_plan() ? nlohmann::ordered_json(answer.slots.objective) : nullptr;
  all["tokens_at_best"] = answer.slots.lower_bound;
  all["tokens_evenly_dealt"] = answer.evenly < 0 ? nullptr : nlohmann::ordered_json(answer.evenly);
  all["reason"] = answer.slots.reason;
  example::print_json(out, all);
}

}  // namespace place_experts
