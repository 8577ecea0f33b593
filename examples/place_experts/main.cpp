// Places the experts of mixture-of-experts layers: a table of loads in, which slot holds which expert out.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli.hpp"
#include "json_lines.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"

namespace {

using placed = shunt::solution<shunt::expert_placement>;

constexpr std::int64_t most_ranks = std::int64_t{1} << 22;  // that this program takes
constexpr std::int64_t most_cells = std::int64_t{1} << 27;  // layers x slots

shunt::expert_layers layers_of(std::string const& file, std::int32_t ranks, std::int32_t slots) {
  auto table = shunt::read_csv_file(file, 0);
  shunt::expert_layers layers{.layers = static_cast<std::int32_t>(table.rows()), .experts = static_cast<std::int32_t>(table.columns)};
  if (static_cast<std::int64_t>(table.rows()) * slots > most_cells)
    throw shunt::invalid_problem("--slots", std::to_string(slots) + " for " + std::to_string(table.rows()) + " layers is more than " +
                                                std::to_string(most_cells) + " in all");
  if (std::all_of(table.values.begin(), table.values.end(), [](std::int64_t load) { return load == 0; }))
    throw shunt::invalid_problem(file, "has no tokens at all: all " + std::to_string(table.values.size()) + " loads are 0");
  layers.loads = std::move(table.values);
  layers.slots_per_rank = shunt::deal_slots(slots, ranks);
  return layers;
}

placed place(shunt::expert_layers const& layers, std::string const& solver) {
  if (solver == shunt::uniform::name) return shunt::solve(layers, shunt::uniform{});
  return shunt::solve(layers, shunt::swift_moe{});
}

void write_json(shunt::expert_layers const& layers, placed const& answer, std::string const& solver, double microseconds) {
  nlohmann::ordered_json out{{"solver", solver}, {"status", to_string(answer.status)}, {"layers", nlohmann::ordered_json::array()}};
  if (answer.has_plan())
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
      auto slots = nlohmann::ordered_json::array();
      for (shunt::expert_id e : answer.plan.layer(l)) slots.push_back(e.value());
      out["layers"].push_back({{"replicas", shunt::replica_counts(answer.plan, l).items()},
                               {"slots", std::move(slots)},
                               {"max_over_mean", shunt::max_over_mean(layers.loads_of(l), answer.plan, l)},
                               {"lower_bound", shunt::max_over_mean_bound(layers, l)}});
    }
  out["mean_max_over_mean"] = answer.has_plan() ? nlohmann::ordered_json(answer.objective) : nullptr;
  out["solve_us_per_layer"] = microseconds / layers.layers;
  out["slots_per_rank"] = layers.slots_per_rank;
  out["reason"] = answer.reason;
  example::print_json(std::cout, out);
}

void write_text(shunt::expert_layers const& layers, placed const& answer, std::string const& solver, double microseconds) {
  std::cout << solver << ", " << to_string(answer.status) << ": " << layers.layers << " layers, " << layers.experts << " experts, "
            << layers.slots() << " slots on " << layers.ranks() << " ranks, " << microseconds / layers.layers << " us a layer\n"
            << "largest rank load over mean: " << answer.objective << ", at best " << answer.lower_bound << " (means over the layers)\n";
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
    std::cout << "layer " << l.value() << ", largest over mean " << shunt::max_over_mean(layers.loads_of(l), answer.plan, l) << ":";
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(layers.ranks())) {
      std::cout << (r == 0 ? " " : " | ");
      for (std::int32_t s = answer.plan.first_slot[r.index()]; s < answer.plan.first_slot[r.index() + 1]; ++s)
        std::cout << (s == answer.plan.first_slot[r.index()] ? "" : " ") << answer.plan.layer(l)[static_cast<std::size_t>(s)].value();
    }
    std::cout << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Places the experts of mixture-of-experts layers in the slots of ranks, from the tokens that each expert received.\n"};
  std::string file, solver = "swift_moe", format = "json";
  std::int32_t ranks = 0, slots = 0;
  app.add_option("--loads", file, "CSV without a header: one row a layer, one column an expert, tokens as whole numbers")
      ->required()
      ->type_name("FILE");
  example::add_integer(app, "--ranks", ranks, "ranks that hold experts", 1, most_ranks)->required()->default_str("");
  example::add_integer(app, "--slots", slots,
                       "slots of all ranks together for each layer; dealt evenly, the first ranks get one more where they don't divide", 1)
      ->required()
      ->default_str("");
  app.add_option("--solver", solver, "swift_moe: replicas in proportion to the tokens; uniform: slot k holds expert k mod E")
      ->check(CLI::IsMember({"swift_moe", "uniform"}))
      ->capture_default_str();
  app.add_option("--format", format, "json, or text to read")->check(CLI::IsMember({"json", "text"}))->capture_default_str();
  app.footer(
      "JSON: solver, status, layers (replicas: instances of each expert; slots: the expert of each slot, rank by rank;\n"
      "max_over_mean: largest rank load over the mean; lower_bound: what no placement is below), mean_max_over_mean,\n"
      "solve_us_per_layer (microseconds, one run), slots_per_rank, reason.\n"
      "Exit status: 0 for an answer, which may be that there is no placement (status infeasible, the reason also on standard\n"
      "error; 2 where --format text has nothing to show); 2 for bad input.\n\n"
      "Example: place_experts --loads loads.csv --ranks 4 --slots 8 --solver swift_moe");

  return example::guarded(app, argc, argv, [&] {
    auto const layers = layers_of(file, ranks, slots);
    auto const start = std::chrono::steady_clock::now();
    auto const answer = place(layers, solver);
    std::chrono::duration<double, std::micro> const taken = std::chrono::steady_clock::now() - start;
    if (!answer.has_plan()) std::cerr << to_string(answer.status) << ": " << answer.reason << std::endl;
    if (format == "json") {
      write_json(layers, answer, solver, taken.count());
      return 0;
    }
    if (!answer.has_plan()) return 2;
    write_text(layers, answer, solver, taken.count());
    return 0;
  });
}
