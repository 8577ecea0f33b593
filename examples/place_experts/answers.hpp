#pragma once
/// Dead ranks, and what an answer says of lost experts and of moves.
/// Tokens that a placement drops, by --sources: where slots have the room (pooled) and where every
/// source has room of its own (per_source, as in DeepSpeed-MoE).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/json.hpp"
#include "shunt/shunt.hpp"
#include "shunt/solve/named/expert_solvers.hpp"

namespace place_experts {

using namespace example;
using placed = shunt::solution<shunt::expert_placement>;
using settings = shunt::expert_solver_settings;

/// Takes a table of one row a layer and rank as the problem's sources; loads are their sums. Throws
/// invalid_problem, naming the file and row.
inline void add_sources(std::string const& path, shunt::integer_table table,
                        shunt::expert_layers& layers) {
  layers.loads.assign(static_cast<std::size_t>(layers.layers) * table.columns, 0);
  for (std::size_t row = 0; row < table.rows(); ++row)
    for (std::size_t e = 0; e < table.columns; ++e) {
      auto& load = layers.loads[row / layers.slots_per_rank.size() * table.columns + e];
      auto const sum = shunt::checked_add(load, table.row(row)[e]);
      if (!sum)
        throw shunt::invalid_problem(path + " row " + std::to_string(row + 1) + ", column " +
                                         std::to_string(e + 1),
                                     "takes the sum of the layer beyond 63 bits");
      load = *sum;
    }
  layers.sources = std::move(table.values);
}

/// Experts that ranks newly receive in a layer to go from the previous placement to this one.
inline std::int64_t moved_from(shunt::expert_layers const& layers,
                               shunt::expert_placement const& plan, shunt::layer_id l) {
  return shunt::moved_experts(layers.previous_of(l), plan, l);
}

/// The experts of a layer's slots, ranks apart.
inline void write_slots(std::ostream& out, shunt::expert_placement const& plan, shunt::layer_id l) {
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(plan.ranks())) {
    out << (r == 0 ? " " : " | ");
    for (std::int32_t s = plan.first_slot[r.index()]; s < plan.first_slot[r.index() + 1]; ++s)
      out << (s == plan.first_slot[r.index()] ? "" : " ")
          << plan.layer(l)[static_cast<std::size_t>(s)].value();
  }
}

/// The format of another system's start.
inline std::optional<shunt::start_format> start_format_of(std::string_view format) {
  if (format == "vllm") return shunt::start_format::vllm;
  if (format == "sglang") return shunt::start_format::sglang;
  if (format == "trtllm") return shunt::start_format::trtllm;
  return std::nullopt;
}

/// Throws invalid_problem unless all live ranks have as many slots: these systems deal them so.
inline void require_equal_slots(std::string const& format,
                                std::span<std::int32_t const> slots_per_rank) {
  std::int32_t each = 0;
  for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
    if (slots_per_rank[r] == 0) continue;
    if (each == 0) each = slots_per_rank[r];
    if (slots_per_rank[r] != each)
      throw shunt::invalid_problem(
          "--slots", "--format " + format + " deals all ranks as many; rank " + std::to_string(r) +
                         " has " + std::to_string(slots_per_rank[r]) + " of " +
                         std::to_string(each));
  }
}

/// The solver and settings that the command line asks for, as one solver.
struct chosen {
  static constexpr std::string_view name = "the solver";
  shunt::named_expert_solver const* with = nullptr;
  settings set{};

  placed operator()(shunt::expert_layers const& layers) const { return solve(layers, *with, set); }
};

/// Slots that all layers share, dealt to the layers and filled.
struct budgeted {
  shunt::solution<shunt::layer_slots> slots{};
  std::vector<placed> layers{};  ///< none where there is no dealing
  double evenly = 0;  ///< tokens of the fullest ranks, summed over the layers, with as many slots
                      ///< for each layer; -1: no placement

  static double fullest(shunt::expert_layers const& layer, placed const& answer) {
    double most = 0;
    for (double const load : shunt::rank_loads(layer.loads, answer.plan, 0))
      most = std::max(most, load);
    return most;
  }
};

inline budgeted place_budgeted(shunt::expert_layers const& problem, std::int32_t slots,
                               chosen const& with) {
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
    all["layers"].push_back({{"slots_per_rank", one.slots_per_rank},
                             {"replicas", shunt::replica_counts(plan, 0).items()},
                             {"slots", shunt::numbers_of(plan.layer(0))},
                             {"max_over_mean", balance},
                             {"fullest_rank_tokens", tokens}});
  }
  if (!as_json) return;
  all["tokens"] =
      answer.slots.has_plan() ? nlohmann::ordered_json(answer.slots.objective) : nullptr;
  all["tokens_at_best"] = answer.slots.lower_bound;
  all["tokens_evenly_dealt"] = answer.evenly < 0 ? nullptr : nlohmann::ordered_json(answer.evenly);
  all["reason"] = answer.slots.reason;
  shunt::print_json(out, all);
}

/// Returns which ranks live: all but those of `dead`, "2,5". Throws invalid_problem, which names
/// the option, where one doesn't exist or is named twice, or none is left.
inline std::vector<bool> live_ranks(std::string const& dead, std::int32_t ranks) {
  std::vector<bool> live(static_cast<std::size_t>(ranks), true);
  for (shunt::rank_id const r : parse_ranks("--dead", dead)) {
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
inline bool is_damaged(shunt::expert_layers const& layers) {
  if (layers.previous.empty()) return false;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers))
    if (shunt::required_moves(layers, l) > 0) return true;
  return false;
}

/// The placement on all ranks: -1 in the slots of dead ones.
inline shunt::expert_placement on_all(shunt::expert_placement const& plan,
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
    answer["layers"][l.index()]["slots"] = shunt::numbers_of(all.layer(l));
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
    layer["lost"] = shunt::numbers_of(shunt::lost_experts(layers, l));
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

/// How much there is room for.
struct room_settings {
  bool per_source = false;
  shunt::capacity_factor factor{};
  std::optional<std::uint64_t> seed{};  ///< which tokens are kept is to be said
};

/// A layer's tokens under both kinds of room.
struct layer_drops {
  shunt::token_split split{};                   ///< under the kind that was asked for
  std::int64_t per_source = 0, pooled = 0;      ///< tokens dropped
  std::int64_t slot_capacity = 0;               ///< of a slot, pooled
  std::vector<std::int64_t> source_capacity{};  ///< of a source for each expert
  std::vector<std::vector<std::vector<std::int64_t>>> kept{};  ///< sources x experts, with a seed

  std::int64_t dropped(bool by_source) const { return by_source ? per_source : pooled; }
};

/// Throws invalid_problem, which names `path` with row and column, where an expert has 2^31 tokens
/// or more, and that of the capacity factor where a room is beyond 64 bits.
inline std::vector<layer_drops> drops_of(std::string const& path,
                                         shunt::expert_layers const& layers,
                                         shunt::expert_placement const& placement,
                                         room_settings const& set) {
  constexpr std::int64_t most = std::int64_t{1} << 31;
  std::vector<layer_drops> all;
  for (auto const l : shunt::ids<shunt::layer_id>(layers.layers)) {
    std::vector<std::int64_t> counts, sums(static_cast<std::size_t>(layers.experts), 0);
    std::int64_t tokens = 0;
    layer_drops one;
    shunt::source_capacity const rule{.factor = set.factor, .seed = set.seed.value_or(0)};
    for (auto const r : shunt::ids<shunt::rank_id>(layers.ranks())) {
      auto const row = layers.sources_of(l, r);
      std::int64_t own = 0;
      for (std::size_t e = 0; e < row.size(); ++e) {
        if (row[e] >= most - sums[e])
          throw shunt::invalid_problem(
              path + " row " +
                  std::to_string(std::int64_t{l.value()} * layers.ranks() + r.value() + 1) +
                  ", column " + std::to_string(e + 1),
              "takes the expert's tokens to 2^31 or more, is " + std::to_string(row[e]));
        sums[e] += row[e];
        own += row[e];
      }
      counts.insert(counts.end(), row.begin(), row.end());
      one.source_capacity.push_back(rule.room(own, layers.experts));
      tokens += own;
      if (!set.seed) continue;
      // a source's tokens are numbered expert by expert
      std::vector<std::int32_t> expert;
      for (std::size_t e = 0; e < row.size(); ++e)
        expert.insert(expert.end(), static_cast<std::size_t>(row[e]), static_cast<std::int32_t>(e));
      auto& kept = one.kept.emplace_back(row.size());
      std::vector<std::int64_t> first(row.size(), 0);
      for (std::size_t e = 1; e < row.size(); ++e) first[e] = first[e - 1] + row[e - 1];
      for (auto const t :
           shunt::random_claimants(expert, layers.experts, one.source_capacity.back(), *set.seed,
                                   {.iteration = 0, .layer = l, .source = r})) {
        auto const e = static_cast<std::size_t>(expert[static_cast<std::size_t>(t)]);
        kept[e].push_back(t - first[e]);
      }
    }
    one.slot_capacity = shunt::slot_capacity(tokens, placement.slots(), set.factor);
    auto const routed = shunt::routed(placement, l, std::move(counts), one.slot_capacity);
    auto own = rule(routed), shared = shunt::capacity_split{}(routed);
    one.per_source = static_cast<std::int64_t>(own.objective);
    one.pooled = static_cast<std::int64_t>(shared.objective);
    one.split = std::move(set.per_source ? own.plan : shared.plan);
    all.push_back(std::move(one));
  }
  return all;
}

/// Adds what drops to the answer: `dropped` in all and of each layer, by source and expert.
inline void add_drops(nlohmann::ordered_json& answer, std::vector<layer_drops> const& drops,
                      room_settings const& set) {
  std::int64_t per_source = 0, pooled = 0;
  for (std::size_t l = 0; l < drops.size(); ++l) {
    auto const& d = drops[l];
    per_source += d.per_source;
    pooled += d.pooled;
    auto& layer = answer["layers"][l];
    layer["dropped"] = d.dropped(set.per_source);
    auto by = nlohmann::ordered_json::array();
    auto const experts = static_cast<std::ptrdiff_t>(d.split.experts);
    for (std::ptrdiff_t i = 0; i < d.split.sources; ++i)
      by.push_back(std::vector<std::int64_t>(d.split.dropped.begin() + i * experts,
                                             d.split.dropped.begin() + (i + 1) * experts));
    layer["dropped_by_source_and_expert"] = std::move(by);
    if (set.per_source)
      layer["source_capacity"] = d.source_capacity;
    else
      layer["slot_capacity"] = d.slot_capacity;
    if (set.seed) layer["kept"] = d.kept;
  }
  answer["capacity"] = set.per_source ? "per_source" : "pooled";
  answer["dropped"] = set.per_source ? per_source : pooled;
  answer["dropped_per_source"] = per_source;
  answer["dropped_pooled"] = pooled;
}

}  // namespace place_experts
