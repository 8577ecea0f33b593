// Places the experts of mixture-of-experts layers: a table of loads in, which slot holds which
// expert out. Or replays a series of loads and compares placement policies on it.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "cli.hpp"
#include "moe_system.hpp"
#include "replay_table.hpp"
#include "shunt/json.hpp"
#include "shunt/shunt.hpp"

namespace {

using namespace example;
using namespace place_experts;

constexpr std::int64_t most_ranks = std::int64_t{1} << 22;  // that this program takes
constexpr std::int64_t most_cells = std::int64_t{1} << 27;  // layers x slots

/// What the command line says.
struct options {
  std::string loads, sources, series, previous, solver, format, predict = "last", factor = "1.0";
  std::string capacity, policy, dead, balance = "1.01";
  std::vector<moe_system> systems;  ///< of --policy
  std::int32_t experts = 0, first_layer = 0;
  bool has_factor = false, has_balance = false;
  std::int64_t seed = -1;
  std::int32_t ranks = 0, slots = 0, nodes = 1, groups = 0, budget = -1, slot_budget = 0, floor = 2,
               spill = 8, layers = 1, every = 1;
  bool keep_ranks = false, near_sources = false;
  std::int64_t from = 0, to = std::numeric_limits<std::int64_t>::max();
  std::int64_t weight_bytes =
      9'437'184;  // two 768 x 3072 matrices in half precision, an expert of GPT-Small
  std::int64_t state_bytes = 0;
  std::int64_t network = 12'500'000'000,
               host = 32'000'000'000;  // 100 Gb/s and PCIe 4.0 x16: SYMI's machines
};

void require_cells(std::int64_t layers, std::int32_t slots) {
  refuse_if(layers * slots > most_cells, "--slots",
            std::to_string(slots) + " for " + std::to_string(layers) + " layers is more than " +
                std::to_string(most_cells) + " in all");
}

double balance_of(options const& o) {
  auto const factor = parse_factor("--balance", o.balance);
  double const value =
      static_cast<double>(factor.numerator) / static_cast<double>(factor.denominator);
  refuse_if(!(value >= 1), "--balance", "must be at least 1, is " + o.balance);
  return value;
}

/// Where the room for tokens is: --capacity, or as --policy has it.
bool room_per_source(options const& o) {
  return o.capacity.empty() && !o.systems.empty() ? o.systems.front().per_source
                                                  : o.capacity == "per_source";
}

settings settings_of(options const& o) {
  return {.budget = o.budget < 0 ? std::nullopt : std::optional(o.budget),
          .balance = balance_of(o),
          .floor = o.floor,
          .spill = o.spill,
          .keep_ranks = o.keep_ranks,
          .near_sources = o.near_sources,
          .every_slot = !o.systems.empty()};
}

/// What is asked for about drops: nothing, unless a capacity or its factor is given.
std::optional<room_settings> room_of(options const& o) {
  auto const needs = [](char const* option, bool there, char const* what) {
    refuse_if(!there, option, what);
  };
  bool const by_source = room_per_source(o);
  if (o.seed >= 0)
    needs("--seed", by_source, "chooses among the tokens of a source: --capacity per_source");
  if (!o.capacity.empty())
    needs("--capacity", !o.sources.empty(), "needs --sources, which say where tokens are");
  if (o.sources.empty() || (o.capacity.empty() && o.systems.empty() && !o.has_factor))
    return std::nullopt;
  needs("--capacity", o.slot_budget == 0, "needs as many slots in every layer: --slots");
  room_settings set{.per_source = by_source, .factor = parse_factor("--capacity-factor", o.factor)};
  needs("--capacity-factor", set.factor.numerator > 0, "must be above 0, is 0");
  if (o.seed >= 0) set.seed = static_cast<std::uint64_t>(o.seed);
  return set;
}

/// `numbers`: those of the layers in the model.
shunt::expert_layers layers_of(options const& o, std::vector<std::int64_t>& numbers) try {
  auto const& path = o.loads.empty() ? o.sources : o.loads;
  auto read = naming_options({{"experts", "--experts"}}, [&] {
    return shunt::read_recorded_loads_file(
        path, o.experts,
        o.loads.empty() ? "--sources wants one row a layer and rank, one column an expert"
                        : "--loads wants one row a layer, one column an expert, or SGLang's "
                          "layer_id,expert_id,count");
  });
  refuse_if(o.loads.empty() && (!read.layers.empty() || !read.history.empty()), path,
            "--sources wants one row a layer and rank");
  auto table = std::move(read.table);
  auto const rows = static_cast<std::int64_t>(table.rows());
  refuse_if(o.loads.empty() && rows % o.ranks != 0, path + " row " + std::to_string(rows),
            "ends within a layer of " + std::to_string(o.ranks) + " ranks");
  shunt::expert_layers layers{
      .layers = static_cast<std::int32_t>(o.loads.empty() ? rows / o.ranks : rows),
      .experts = static_cast<std::int32_t>(table.columns)};
  auto const slots = o.slot_budget > 0 ? shunt::ceil_divide(o.slot_budget, layers.layers) : o.slots;
  require_cells(layers.layers, slots);
  if (std::all_of(table.values.begin(), table.values.end(),
                  [](std::int64_t load) { return load == 0; }))
    throw shunt::invalid_problem(path, "has no tokens at all: all " +
                                           std::to_string(table.values.size()) + " loads are 0");
  layers.slots_per_rank = shunt::deal_slots(slots, o.ranks);
  if (o.loads.empty())
    add_sources(path, std::move(table), layers);
  else
    layers.loads = std::move(table.values);
  layers.ranks_per_node = o.nodes > 1 ? shunt::ceil_divide(o.ranks, o.nodes) : 0;
  layers.groups = o.groups;
  layers.history = std::move(read.history);
  if (!o.previous.empty()) layers.previous = shunt::read_placement_file(o.previous, layers);
  numbers = std::move(read.layers);
  for (std::int64_t l = 0; numbers.size() < static_cast<std::size_t>(layers.layers); ++l)
    numbers.push_back(o.first_layer + l);
  return shunt::on_live_ranks(std::move(layers), live_ranks(o.dead, o.ranks));
} catch (shunt::invalid_problem const& refused) {
  // the option beside the file, row and column of sources
  std::string const& field = refused.field();
  if (o.sources.empty() || field.substr(0, o.sources.size()) != o.sources) throw;
  throw shunt::invalid_problem("--sources " + field,
                               std::string(refused.what()).substr(field.size() + 2));
}

void write_json(shunt::expert_layers const& layers, placed const& answer, std::string const& solver,
                double microseconds, std::vector<layer_drops> const& drops,
                room_settings const& room, options const& o) {
  nlohmann::ordered_json out{{"solver", solver},
                             {"status", to_string(answer.status)},
                             {"layers", nlohmann::ordered_json::array()}};
  if (answer.has_plan())
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
      out["layers"].push_back(
          {{"replicas", shunt::replica_counts(answer.plan, l).items()},
           {"slots", shunt::numbers_of(answer.plan.layer(l))},
           {"max_over_mean", shunt::max_over_mean(layers.loads_of(l), answer.plan, l)},
           {"lower_bound", shunt::max_over_mean_bound(layers, l)}});
      if (!layers.previous.empty())
        out["layers"].back()["moved"] = moved_from(layers, answer.plan, l);
      if (!layers.sources.empty())
        out["layers"].back()["local_tokens"] = shunt::local_tokens(layers, answer.plan, l);
      if (layers.groups > 0)
        out["layers"].back()["spilled"] = shunt::spilled_replicas(layers, answer.plan, l);
    }
  out["mean_max_over_mean"] =
      answer.has_plan() ? nlohmann::ordered_json(answer.objective) : nullptr;
  out["solve_us_per_layer"] = microseconds / layers.layers;
  out["slots_per_rank"] = layers.slots_per_rank;
  if (!o.policy.empty()) out["policy"] = o.policy;
  if (!drops.empty()) add_drops(out, drops, room);
  if (answer.has_plan()) {
    bool const asked = o.has_balance || is_damaged(layers);
    add_moves(out, layers, answer.plan, shunt::deal_slots(o.slots, o.ranks),
              asked ? std::optional(balance_of(o)) : std::nullopt);
  }
  out["reason"] = answer.reason;
  shunt::print_json(std::cout, out);
}

void write_text(shunt::expert_layers const& layers, placed const& answer, std::string const& solver,
                double microseconds, std::vector<layer_drops> const& drops) {
  std::cout << solver << ", " << to_string(answer.status) << ": " << layers.layers << " layers, "
            << layers.experts << " experts, " << layers.slots() << " slots on " << layers.ranks()
            << " ranks, " << microseconds / layers.layers << " us a layer\n"
            << "largest rank load over mean: " << answer.objective << ", at best "
            << answer.lower_bound << " (means over the layers)\n";
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers.layers)) {
    std::cout << "layer " << l.value() << ", largest over mean "
              << shunt::max_over_mean(layers.loads_of(l), answer.plan, l);
    if (!layers.previous.empty())
      std::cout << ", " << moved_from(layers, answer.plan, l) << " moved";
    if (!layers.sources.empty())
      std::cout << ", " << shunt::local_tokens(layers, answer.plan, l) << " tokens local";
    if (layers.groups > 0)
      std::cout << ", " << shunt::spilled_replicas(layers, answer.plan, l) << " spilled";
    if (!drops.empty())
      std::cout << ", dropped " << drops[l.index()].per_source << " with room per source, "
                << drops[l.index()].pooled << " with pooled room";
    std::cout << ':';
    write_slots(std::cout, answer.plan, l);
    std::cout << '\n';
  }
}

int place_budgeted(options const& o, shunt::expert_layers const& layers,
                   shunt::named_expert_solver const& solver) {
  refuse_if(!o.previous.empty(), "--previous",
            "has as many slots in every layer, which --slot-budget changes");
  refuse_if(o.format == "eplb" || o.format == "csv" || start_format_of(o.format).has_value(),
            "--format",
            o.format + " has as many slots in every layer, which --slot-budget changes");
  auto const answer = place_experts::place_budgeted(layers, o.slot_budget,
                                                    {.with = &solver, .set = settings_of(o)});
  if (!answer.slots.has_plan())
    std::cerr << to_string(answer.slots.status) << ": " << answer.slots.reason << std::endl;
  if (!answer.slots.has_plan() && o.format == "text") return 1;
  write_budgeted(std::cout, o.format != "text", layers, answer, std::string(solver.name));
  return answer.slots.has_plan() ? 0 : 1;
}

int place(options const& o) {
  refuse_if(o.systems.size() > 1, "--policy",
            "names " + std::to_string(o.systems.size()) + " systems; several are for --series");
  auto const room = room_of(o);
  std::vector<std::int64_t> numbers;
  auto const layers = layers_of(o, numbers);
  bool const repairs = is_damaged(layers) || (!o.dead.empty() && !layers.previous.empty());
  auto const& solver = shunt::expert_solver_named("--solver", !o.solver.empty() ? o.solver
                                                              : repairs         ? "elastic"
                                                                                : "swift_moe");
  refuse_if(o.budget >= 0 && !solver.keeps_budget, "--budget",
            std::string(solver.name) + " keeps to none; incremental and elastic do");
  refuse_if(o.near_sources && layers.sources.empty(), "--near-sources",
            "needs --sources, which say where tokens are");
  refuse_if(o.keep_ranks && layers.previous.empty(), "--keep-ranks",
            "needs --previous, which says what ranks hold");
  refuse_if(!o.dead.empty() && o.slot_budget > 0, "--dead",
            "needs as many slots in every layer: --slots");
  if (o.slot_budget > 0) return place_budgeted(o, layers, solver);
  if (start_format_of(o.format)) require_equal_slots(o.format, layers.slots_per_rank);
  auto const set = settings_of(o);
  auto const start = std::chrono::steady_clock::now();
  auto const answer = solve(layers, solver, set);
  std::chrono::duration<double, std::micro> const taken = std::chrono::steady_clock::now() - start;
  if (!answer.has_plan())
    std::cerr << to_string(answer.status) << ": " << answer.reason << std::endl;
  std::vector<layer_drops> drops;
  if (room && answer.has_plan())
    drops = drops_of("--sources " + o.sources, layers, answer.plan, *room);
  std::string const name(solver.name), format = o.format.empty() ? "json" : o.format;
  if (format == "json") {
    write_json(layers, answer, name, taken.count(), drops, room.value_or(room_settings{}), o);
    return answer.has_plan() ? 0 : 1;
  }
  if (!answer.has_plan()) return 1;
  if (format == "text")
    write_text(layers, answer, o.policy.empty() ? name : o.policy + ", " + name, taken.count(),
               drops);
  if (auto const system = start_format_of(format))
    shunt::write_start_placement(std::cout, *system, answer.plan, numbers);
  auto const map = physical_map_of(on_all(answer.plan, shunt::deal_slots(o.slots, o.ranks)));
  if (format == "eplb") shunt::print_json(std::cout, nlohmann::json(map));
  if (format == "csv")
    shunt::write_csv(std::cout,
                     {.columns = static_cast<std::size_t>(map.slots),
                      .values = {map.physical_to_logical.begin(), map.physical_to_logical.end()}});
  return 0;
}

int replay(options const& o) {
  refuse_if(!o.previous.empty(), "--previous",
            "a replay begins with the policy's own first placement");
  refuse_if(o.format == "eplb" || start_format_of(o.format).has_value(), "--format",
            o.format + " is one placement; a replay writes text, json or csv");
  refuse_if(!o.dead.empty(), "--dead", "is for --loads; in a replay all ranks live");
  refuse_if(o.budget >= 0 && !o.solver.empty() &&
                !shunt::expert_solver_named("--solver", o.solver).keeps_budget,
            "--budget", o.solver + " keeps to none; incremental does");
  refuse_if(o.slot_budget > 0, "--slot-budget",
            "is for --loads; a replay gives every layer --slots");
  static_cast<void>(room_of(o));  // refuses what needs sources
  refuse_if(o.near_sources, "--near-sources",
            "needs --sources; a series doesn't say where tokens are");
  auto const whole = shunt::read_load_series_csv_file(o.series, o.layers);
  auto const known = whole.between(0, o.to), series = known.between(o.from, o.to);
  refuse_if(series.windows() < 2, o.series,
            "has " + std::to_string(series.windows()) + " windows there; a replay needs two");
  require_cells(series.layers, o.slots);
  shunt::replay_options const how{.slots_per_rank = shunt::deal_slots(o.slots, o.ranks),
                                  .ranks_per_node =
                                      o.nodes > 1 ? shunt::ceil_divide(o.ranks, o.nodes) : 0,
                                  .groups = o.groups,
                                  .every = o.every,
                                  .history = 8,
                                  .first = known.windows() - series.windows(),
                                  .capacity = parse_factor("--capacity-factor", o.factor)};
  auto const weights = static_cast<double>(o.weight_bytes);
  shunt::expert_traffic const model{
      .ranks = static_cast<double>(o.ranks),
      .slots_per_rank = static_cast<double>(o.slots) / o.ranks,
      .experts = static_cast<double>(series.experts),
      .gradient_bytes = weights,
      .weight_bytes = weights,
      .state_bytes = o.state_bytes > 0 ? static_cast<double>(o.state_bytes) : 8 * weights,
      .network_bandwidth = static_cast<double>(o.network),
      .host_bandwidth = static_cast<double>(o.host)};
  auto const set = settings_of(o);
  auto const& predict = named(shunt::load_predictors, o.predict);
  replay_setting const replayed{known, how, predict, model};
  bool const systems = !o.systems.empty();
  auto const rows =
      systems ? replay_systems(replayed, o.systems, set) : replay_all(replayed, o.solver, set);
  if (o.format == "json") {
    write_json(std::cout, rows, replayed, systems);
  } else if (o.format == "csv") {
    write_csv(std::cout, rows);
  } else {
    write_text(std::cout, rows, replayed, set, systems);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  argument_parser app{"Places the experts of mixture-of-experts layers in the slots of "
                      "ranks, from the tokens that each expert received, or\n"
                      "compares policies of placement on a recorded series of loads.\n"};
  options o;
  auto* const loads =
      app.add_option(
             "--loads", o.loads,
             "CSV without a header: one row a layer, one column an expert, tokens as whole "
             "numbers; or SGLang's rows of\nlayer_id,expert_id,count; or JSON with logical_count "
             "(SGLang), window_expert_load or logical_expert_load, one\nwindow a line (vLLM): the "
             "last is placed for, those before are its history")
          ->type_name("FILE");
  auto* const sources = app.add_option("--sources", o.sources,
                                       "instead of --loads: one row a layer and rank, the tokens "
                                       "that rank has for each expert")
                            ->type_name("FILE")
                            ->excludes(loads);
  app.add_option("--series", o.series,
                 "replay instead: CSV with a header iteration,layer,e0,e1,... (or other columns "
                 "before layer), one row a layer; without a\n"
                 "header --layers rows a window. Unpack .gz first: gunzip -k FILE")
      ->type_name("FILE")
      ->excludes(loads)
      ->excludes(sources);
  add_integer(app, "--ranks", o.ranks, "ranks that hold experts", 1, most_ranks)
      ->required()
      ->default_str("");
  add_integer(app, "--slots", o.slots,
              "slots of all ranks together for each layer; dealt evenly, the first ranks "
              "get one more where they don't divide",
              1)
      ->default_str("");
  add_integer(app, "--slot-budget", o.slot_budget,
              "instead of --slots: slots of all ranks and layers together, dealt to the "
              "layers that gain most by them",
              1)
      ->default_str("")
      ->excludes("--slots");
  add_integer(app, "--nodes", o.nodes,
              "machines; ranks are dealt node by node, the last may have fewer", 1, most_ranks);
  add_integer(app, "--groups", o.groups,
              "groups of experts, dealt in order, that stay on one node each (eplb, "
              "balanced, spilled_groups); 0: none",
              0);
  add_integer(app, "--spill", o.spill,
              "replicas of a layer that spilled_groups may put away from their group's node", 0);
  app.add_option(
         "--solver", o.solver,
         "default: swift_moe, and with --series all but exact_placement. swift_moe: replicas in "
         "proportion to the tokens; uniform: slot k\n"
         "holds expert k mod E; eplb: DeepSeek's; balanced: searched; spilled_groups: balanced, "
         "and a few replicas\n"
         "leave their group's node; incremental: few moves; elastic: after lost and new ranks; "
         "lazarus: survives failures; flexmoe: expand,\n"
         "shrink, migrate; shadow: FasterMoE's; exact_placement: proved, for about 16 slots")
      ->one_of(names_of(shunt::expert_solvers));
  auto* const policy =
      app.add_option("--policy", o.policy,
                     "instead of --solver: as a system places, swift_moe, deepspeed (uniform, room "
                     "per source) or flexmoe-K (flexmoe in every K-th\nwindow, as many changes as "
                     "there are slots). With --sources: say what drops. With --series several, "
                     "each as often as it does")
          ->type_name("NAME,...")
          ->excludes("--solver");
  app.add_option("--previous", o.previous,
                 "placement in force, for incremental, elastic, flexmoe, lazarus: what --format "
                 "wrote, JSON with\nphysical_to_logical_map (vLLM, SGLang) or layer_list "
                 "(vllm-ascend), or initial_global_assignments\n(TensorRT-LLM). -1: an empty slot, "
                 "as those of a rank that has joined")
      ->type_name("FILE");
  app.add_option("--dead", o.dead,
                 "ranks that are lost, as 2,5: they get no slots, and hold nothing of --previous. "
                 "The solver then is elastic, unless\nanother one is named")
      ->type_name("R,R,...");
  auto* const balance =
      app.add_option("--balance", o.balance,
                     "largest over mean load: elastic moves no more than it takes, and with "
                     "--previous moves_for_balance says how\nmany moves come to it")
          ->type_name("X")
          ->capture_default_str();
  add_integer(app, "--experts", o.experts,
              "experts of a layer, where --loads lists only those that have tokens", 1)
      ->default_str("the largest that is named");
  add_integer(app, "--first-layer", o.first_layer,
              "number of the first layer in the model, for --format sglang and trtllm; "
              "SGLang's rows have their own",
              0);
  auto* const keep = app.add_flag("--keep-ranks", o.keep_ranks,
                                  "deal the rows of the placement to the ranks so that the most "
                                  "experts stay where --previous has them");
  app.add_flag("--near-sources", o.near_sources,
               "deal them so that the most tokens find their expert on the rank that has them "
               "(--sources)")
      ->excludes(keep);
  add_integer(app, "--budget", o.budget, "experts that incremental or elastic may move a layer", 0)
      ->default_str("2, of elastic what has to be placed");
  add_integer(app, "--floor", o.floor, "replicas that lazarus gives every expert at least", 1);
  add_integer(app, "--layers", o.layers, "rows of a window in a series without a header", 1);
  add_integer(app, "--from", o.from,
              "replay from this iteration on; what the series has before is known, but not scored",
              0);
  add_integer(app, "--to", o.to, "replay up to this iteration", 0)->default_str("the last");
  add_integer(app, "--every", o.every, "windows from one re-placement to the next; 0: placed once",
              0)
      ->excludes("--policy");
  app.add_option("--predict", o.predict,
                 "loads that policies expect in the next window, from those so far")
      ->one_of(names_of(shunt::load_predictors))
      ->capture_default_str();
  auto* const factor = app.add_option("--capacity-factor", o.factor,
                                      "a slot takes this times tokens / slots; tokens beyond are "
                                      "dropped. With --sources: say how many")
                           ->type_name("X")
                           ->capture_default_str();
  app.add_option(
         "--capacity", o.capacity,
         "say what --sources drop. pooled (default with --capacity-factor): slots take the tokens "
         "of all sources; per_source: a source\nwith T tokens keeps X T / experts, rounded up and "
         "at least 4, for each expert, as in DeepSpeed-MoE (--solver uniform)")
      ->one_of({"per_source", "pooled"});
  add_integer(app, "--seed", o.seed,
              "with --capacity per_source: choose the tokens that are kept, and list them", 0)
      ->default_str("");
  add_integer(app, "--weight-bytes", o.weight_bytes,
              "of an expert, for the traffic of a replay; gradients take as many", 1);
  add_integer(app, "--state-bytes", o.state_bytes,
              "optimizer state of an expert; 0: 8 times its weights (Adam, mixed precision)", 0);
  add_integer(app, "--network", o.network, "bytes a second between ranks", 1);
  add_integer(app, "--host", o.host,
              "bytes a second between host and device, where optimizer state lives", 1);
  app.add_option(
         "--format", o.format,
         "json (default), text to read, eplb: EPLB's arrays phy2log, log2phy, logcnt as JSON, csv: "
         "phy2log, one row a layer; for a start of\nvllm (initial_expert_map_path), sglang "
         "(--init-expert-location) or trtllm (moe_config.load_balancer); of a replay\n"
         "text (default), json or csv")
      ->one_of({"json", "text", "eplb", "csv", "vllm", "sglang", "trtllm"});
  app.footer(
      "JSON: solver, status, layers (replicas: instances of each expert; slots: the expert of each "
      "slot, rank by rank;\n"
      "max_over_mean: largest rank load over the mean; lower_bound: what no placement is below; "
      "with --previous moved: experts that\n"
      "ranks newly receive, required_moves: those without which an expert has no slot or a slot is "
      "empty, moves: each with the rank it is\nfrom, -1 where no live rank has it, lost: these "
      "experts, moves_for_balance: the fewest found that come to --balance; with --sources "
      "local_tokens: tokens that stay on their rank; with --groups spilled: replicas away from "
      "their\n"
      "group's node), mean_max_over_mean, solve_us_per_layer (microseconds, one run), "
      "slots_per_rank, reason; policy (with --policy).\n"
      "With --capacity or --capacity-factor and --sources also dropped (tokens, of all layers and "
      "of each),\n"
      "dropped_by_source_and_expert, dropped_per_source and dropped_pooled (under either kind of "
      "room), source_capacity or\n"
      "slot_capacity, and with --seed kept: by source and expert which of the claimants, counted "
      "from 0.\n"
      "Exit status: 0 for a placement; 1 where there is none (status infeasible or limit_reached, "
      "the reason also on standard\n"
      "error, nothing on standard output in another format than json); 2 for bad input.\n\n"
      "With --slot-budget: layers (slots_per_rank, replicas, slots, max_over_mean, "
      "fullest_rank_tokens), tokens (the fullest ranks' of all\n"
      "layers together), tokens_at_best (what no dealing of the slots is below), "
      "tokens_evenly_dealt (with as many slots for every layer).\n\n"
      "Example: place_experts --loads loads.csv --ranks 4 --slots 8 --solver swift_moe\n"
      "Example: place_experts --loads loads.csv --ranks 16 --slot-budget 480 --solver balanced "
      "--format text\n"
      "Example: place_experts --series trace.csv --ranks 16 --slots 64 --from 1001 --to 1201");

  return guarded(app, argc, argv, [&] {
    o.has_factor = factor->count() > 0;
    o.has_balance = balance->count() > 0;
    if (policy->count() > 0) {
      o.systems = parse_moe_systems("--policy", o.policy);
      o.solver = o.systems.front().solver;
    }
    if (o.slots == 0 && o.slot_budget == 0) require_option("--slots");
    if (!o.series.empty()) return replay(o);
    if (o.loads.empty() && o.sources.empty()) require_option("--loads");
    return place(o);
  });
}
