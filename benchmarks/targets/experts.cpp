// The targets of the experts half of the library, in one table. Times are CPU time of one core for
// a layer (or for an iteration): median and least of passes over 512 different layers (over the
// layers there are where a pass takes milliseconds a layer). Quality is the largest rank's load
// over the mean rank's, even split over replicas unless said, mean and worst over all layers.
// SHUNT_EXPERT_LOADS names a folder with more series, as tables or packed (.gz):
// case_ds_logn10.csv, case_ds_norm03.csv, smartmoe_gpt12L32E_loads.csv; without it their rows say
// "not run". SHUNT_BENCHMARK_PASSES=1 is enough to see that everything runs.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "expert_loads.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/rank_scatter.hpp"
#include "shunt/measure/exact_split.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/quotas.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/quotas.hpp"
#include "shunt/solve/experts/search/eplb_rule.hpp"
#include "shunt/solve/experts/spilled_groups.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/swift_moe_iteration.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/solver.hpp"
#include "table.hpp"

namespace {

using benchmark::State;
using shunt::expert_layers;
using shunt::layer_id;

/// CPU time of this thread, in microseconds: the machine may be shared.
double now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_nsec);
}

int passes(int wanted) {
  char const* const given = std::getenv("SHUNT_BENCHMARK_PASSES");
  return given ? std::max(1, std::atoi(given)) : wanted;
}

/// Runs `pass` often and gives its median and least time, divided by `parts`, in microseconds.
void timed(State& state, double parts, int wanted, std::function<void()> const& pass) {
  std::vector<double> all;
  for (auto _ : state)
    for (int i = passes(wanted); i > 0; --i) {
      double const start = now();
      pass();
      all.push_back((now() - start) / parts);
    }
  std::sort(all.begin(), all.end());
  state.counters["median"] = all[all.size() / 2];
  state.counters["least"] = all[0];
}

/// The name of a benchmark that runs once; one that has no layers is left out.
void add(std::string const& name, expert_layers p,
         std::function<void(State&, expert_layers const&)> const& run) {
  if (p.layers == 0) return;
  benchmark::RegisterBenchmark(name.c_str(), [p = std::move(p), run](State& state) {
    run(state, p);
  })->Iterations(1);
}

// --- times of rules: what the peers' functions do, and the whole solvers with validation,
// objective and bound

void swift_moe_rule(State& state, expert_layers const& p) {
  std::vector<std::int32_t> counts(static_cast<std::size_t>(p.experts));
  std::vector<std::int64_t> scratch(2 * counts.size());
  std::vector<shunt::expert_id> slots(static_cast<std::size_t>(p.slots()));
  timed(state, p.layers, 201, [&] {
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      shunt::swift_moe_counts(p.loads_of(l).data(), p.experts,
                              static_cast<std::int32_t>(slots.size()), counts.data(),
                              scratch.data());
      auto at = slots.begin();
      for (std::size_t e = 0; e < counts.size(); ++e)
        at = std::fill_n(at, counts[e], shunt::expert_id{e});
      benchmark::DoNotOptimize(slots.data());
      benchmark::ClobberMemory();
    }
  });
}

void eplb_rule(State& state, expert_layers const& p) {
  shunt::detail::eplb_rule rule(p.experts, p.slots_per_rank);
  std::vector<shunt::expert_id> names(static_cast<std::size_t>(p.experts)),
      placed(static_cast<std::size_t>(p.slots()));
  for (std::size_t e = 0; e < names.size(); ++e) names[e] = e;
  timed(state, p.layers, 51, [&] {
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      rule(p.loads_of(l), names, placed);
      benchmark::DoNotOptimize(placed.data());
      benchmark::ClobberMemory();
    }
  });
}

template <class Solver>
void whole(State& state, expert_layers const& p) {
  timed(state, p.layers, 51, [&] { benchmark::DoNotOptimize(solve(p, Solver{})); });
}

// --- quality

/// max/mean over layers and its worst, the time a layer, slots that repeat an expert on a rank, and
/// the mean against eplb's in percent.
template <class Solver>
void rated(State& state, expert_layers const& p, Solver const& solver) {
  shunt::solution<shunt::expert_placement> answer;
  timed(state, p.layers, 3, [&] { answer = solve(p, solver); });
  double worst = 0, repeats = 0;
  for (layer_id l : shunt::ids<layer_id>(p.layers)) {
    worst = std::max(worst, shunt::max_over_mean(p.loads_of(l), answer.plan, l));
    repeats += p.slots() - shunt::hosted_pairs(answer.plan, l);
  }
  auto const eplb = solve(p, shunt::eplb{});
  state.counters["mean"] = answer.objective;
  state.counters["worst"] = worst;
  state.counters["repeats"] = repeats;
  state.counters["of_eplb"] = 100 * answer.objective / eplb.objective;
  state.counters["broken"] = static_cast<double>(shunt::check(p, answer.plan).size());
}

expert_layers on_nodes(expert_layers p, std::int32_t ranks_per_node, std::int32_t groups) {
  p.ranks_per_node = ranks_per_node;
  p.groups = groups;
  return p;
}

/// A re-placement at every iteration of a series after the first ten, scored on the iteration that
/// follows.
void next_window(State& state, expert_loads::series const& all, std::int32_t slots,
                 shunt::incremental const& solver) {
  double even = 0, exact = 0, moved = 0, steps = 0, spent = 0;
  for (auto _ : state) {
    expert_layers p{.layers = all.layers,
                    .experts = all.experts,
                    .loads = {},
                    .slots_per_rank = shunt::deal_slots(slots, 16)};
    for (std::size_t i = 0; i + 1 < all.loads.size(); ++i) {
      p.loads = all.loads[i];
      if (i >= 10) {
        double const start = now();
        auto const answer = solve(p, solver);
        if (!p.previous.empty()) spent += now() - start;
        for (layer_id l : shunt::ids<layer_id>(p.previous.empty() ? 0 : p.layers))
          moved += shunt::moved_experts(p.previous_of(l), answer.plan, l);
        p.previous = answer.plan.expert_of;
        auto later = p;
        later.loads = all.loads[i + 1];
        even += shunt::mean_max_over_mean(later, answer.plan);
        for (layer_id l : shunt::ids<layer_id>(p.layers)) {
          double tokens = 0;
          for (auto const load : later.loads_of(l)) tokens += static_cast<double>(load);
          exact += static_cast<double>(shunt::exact_split_load(later.loads_of(l), answer.plan, l)) *
                   16 / tokens / p.layers;
        }
        ++steps;
      }
      p.history.insert(p.history.end(), p.loads.begin(), p.loads.end());
    }
  }
  state.counters["even"] = even / steps;
  state.counters["exact"] = exact / steps;
  state.counters["moved"] = moved / (steps - 1) / all.layers;
  state.counters["median"] = spent / (steps - 1) / all.layers;
}

// --- quotas

void quotas(State& state, expert_layers const& p) {
  auto const homes = shunt::home_ranks(p);
  std::vector<char> const live(p.slots_per_rank.size(), 1);
  shunt::quota_rule rule(p.ranks(), std::span(homes).first(static_cast<std::size_t>(p.experts)),
                         live);
  timed(state, p.layers, 51, [&] {
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      std::int64_t tokens = 0;
      for (auto const load : p.loads_of(l)) tokens += load;
      benchmark::DoNotOptimize(
          rule(p.loads_of(l), shunt::ceil_divide<std::int64_t>(tokens, p.ranks())).data());
    }
  });
  // the bound on tokens is the judge's to find broken; copies and guests are counted here
  auto const answer = solve(p, shunt::quotas{});
  std::size_t most = 0, guests = 0;
  double copies = 0;
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const first =
                   static_cast<std::size_t>(answer.plan.first_copy[static_cast<std::size_t>(l)]),
               last = static_cast<std::size_t>(
                   answer.plan.first_copy[static_cast<std::size_t>(l) + 1]);
    std::vector<std::size_t> hosted(p.slots_per_rank.size(), 0);
    for (std::size_t c = first; c < last; ++c)
      guests = std::max(guests, ++hosted[answer.plan.copies[c].rank.index()]);
    most = std::max(most, last - first);
    copies += static_cast<double>(last - first);
  }
  state.counters["broken"] = static_cast<double>(shunt::check(p, answer.plan).size());
  state.counters["copies"] = copies / p.layers;
  state.counters["beyond"] = static_cast<double>(most) - static_cast<double>(p.ranks() - 1);
  state.counters["guests"] = static_cast<double>(guests);
}

expert_layers at_home(expert_layers p, std::int32_t ranks) {
  p.slots_per_rank = shunt::deal_slots(p.experts, ranks);
  return p;
}

// --- the path of an iteration: 24 layers x 16 experts x 64 slots over 16 ranks, 24 different
// iterations in turn

enum class half { deciding, own_list, both, all_lists };

void iteration_path(State& state, half which, std::int64_t capacity) {
  constexpr std::int32_t layers = 24, experts = 16, ranks = 16, iterations = 24;
  auto const loads = expert_loads::skewed(layers * iterations, experts, 64, ranks);
  std::vector<std::int64_t>
      counts;  // every rank brings its part of a layer's tokens, give or take a fifth
  std::mt19937_64 random(5);
  for (layer_id l : shunt::ids<layer_id>(loads.layers))
    for (std::int32_t r = 0; r < ranks; ++r)
      for (auto const load : loads.loads_of(l))
        counts.push_back(load * static_cast<std::int64_t>(80 + random() % 41) / 100 / ranks);
  auto first = loads;
  first.layers = layers;
  first.loads.resize(layers * experts);
  auto const placement = solve(first, shunt::swift_moe{}).plan;
  shunt::optimizer_state const state_of{.experts = experts, .ranks = ranks, .elements = 1 << 20};
  auto const shards = solve(state_of, shunt::uniform_shards{}).plan;
  shunt::swift_moe_iteration decide(placement, capacity);
  std::vector<shunt::rank_scatter> scatter;
  for (std::int32_t r = 0; r < (which == half::all_lists ? ranks : 1); ++r)
    scatter.emplace_back(state_of, shards, placement.first_slot, layers,
                         which == half::all_lists ? r : 7);
  std::size_t instructions = 0, at = 0;
  constexpr std::size_t width = layers * ranks * experts;
  auto const next_counts = [&] {
    return std::span(counts).subspan(at++ % iterations * width, width);
  };
  auto const lists = [&] {
    instructions = 0;
    for (auto& s : scatter) instructions += s(decide.placement()).instructions.size();
  };
  std::vector<double> all;
  for (auto _ : state)
    for (int i = passes(480); i > 0; --i) {
      double start = now();
      decide(next_counts());
      if (which == half::own_list) start = now();
      if (which != half::deciding) lists();
      all.push_back(now() - start);
    }
  std::sort(all.begin(), all.end());
  state.counters["median"] = all[all.size() / 2];
  state.counters["least"] = all[0];
  state.counters["instructions"] = static_cast<double>(instructions);
}

// --- layers that have nothing to balance by

expert_layers degenerate() {
  constexpr std::int32_t experts = 16;
  expert_layers p{
      .layers = 4, .experts = experts, .loads = {}, .slots_per_rank = shunt::deal_slots(64, 16)};
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(e == 5 ? 65536 : 0);  // one has all
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(0);     // nobody has any
  for (std::int32_t e = 0; e < experts; ++e) p.loads.push_back(4096);  // all have the same
  for (std::int32_t e = 0; e < experts; ++e)
    p.loads.push_back(e < 8 ? 8192 : 0);  // half of them have none
  return p;
}

/// Layers of `degenerate` where a solver has no plan or a broken one.
void sensible(State& state, expert_layers const& p) {
  double broken = 0;
  auto const judge = [&](auto const& solver) {
    auto const answer = solve(p, solver);
    broken += answer.has_plan() ? static_cast<double>(shunt::check(p, answer.plan).size()) : 1;
  };
  for (auto _ : state) {
    judge(shunt::uniform{});
    judge(shunt::swift_moe{});
    judge(shunt::eplb{});
    judge(shunt::lazarus{});
    judge(shunt::flexmoe{});
    judge(shunt::balanced{});
    judge(shunt::incremental{});
  }
  state.counters["broken"] = broken;
}

char const* instruction_set() {
#if defined(__AVX512F__)
  return "x86-64 with AVX-512";
#elif defined(__AVX2__)
  return "x86-64 with AVX2";
#elif defined(__x86_64__)
  return "x86-64 (SSE2)";
#else
  return "another";
#endif
}

void add_all() {
  using namespace expert_loads;
  constexpr std::int32_t layers = 512;
  std::string const own = own_folder() + "/expert_loads", given = given_folder();

  add("swift_moe/16x64", skewed(layers, 16, 64, 16), swift_moe_rule);
  add("swift_moe/256x288", skewed(layers, 256, 288, 32), swift_moe_rule);
  add("swift_moe/one_has_all/16x64", one_has_all(layers, 16, 64, 16), swift_moe_rule);
  add("swift_moe/one_has_all/256x288", one_has_all(layers, 256, 288, 32), swift_moe_rule);
  add("swift_moe/whole/16x64", skewed(layers, 16, 64, 16), whole<shunt::swift_moe>);
  add("swift_moe/whole/256x288", skewed(layers, 256, 288, 32), whole<shunt::swift_moe>);
  add("eplb/256x288x32", skewed(layers, 256, 288, 32), eplb_rule);
  add("eplb/16x64x16", skewed(layers, 16, 64, 16), eplb_rule);
  add("eplb/whole/256x288x32", skewed(layers, 256, 288, 32), whole<shunt::eplb>);
  add("eplb/whole/16x64x16", skewed(layers, 16, 64, 16), whole<shunt::eplb>);

  auto const quick = [](State& s, expert_layers const& p) {
    rated(s, p, shunt::balanced{.effort = 20'000});
  };
  auto const usual = [](State& s, expert_layers const& p) { rated(s, p, shunt::balanced{}); };
  add("balanced/ds/synthetic", skewed(layers, 256, 288, 32), quick);
  add("balanced/ds/logn10", recorded(given, "case_ds_logn10.csv", 288, 32), quick);
  add("balanced/ds/norm03", recorded(given, "case_ds_norm03.csv", 288, 32), quick);
  add("balanced/ds64/logn10", recorded(given, "case_ds_logn10.csv", 320, 64), quick);
  add("balanced/nodes/logn10", on_nodes(recorded(given, "case_ds_logn10.csv", 288, 32), 8, 8),
      quick);
  add("balanced/nodes/norm03", on_nodes(recorded(given, "case_ds_norm03.csv", 288, 32), 8, 8),
      quick);
  auto const spilling = [](State& s, expert_layers const& p) {
    rated(s, p, shunt::spilled_groups{});
  };
  add("spilled/nodes/logn10", on_nodes(recorded(given, "case_ds_logn10.csv", 288, 32), 8, 8),
      spilling);
  add("spilled/nodes/norm03", on_nodes(recorded(given, "case_ds_norm03.csv", 288, 32), 8, 8),
      spilling);
  add("balanced/sm/zipf12", recorded(own, "zipf12.csv", 64, 16), usual);
  add("balanced/esft/law", recorded(own, "esft_law.csv", 80, 16), usual);
  add("balanced/esft/translation", recorded(own, "esft_translation.csv", 72, 8), usual);
  add("balanced/trace",
      as_layers(read_series(own_folder(), "expert_trace.csv", 0, 1 << 30, 1), 64, 16), usual);
  auto const smartmoe = [&](std::int32_t slots) {
    return as_layers(read_series(given, "smartmoe_gpt12L32E_loads.csv", 1001, 5001, 200), slots,
                     16);
  };
  add("balanced/smartmoe64", smartmoe(64), usual);
  add("balanced/smartmoe48", smartmoe(48), usual);

  auto const series = read_series(given, "smartmoe_gpt12L32E_loads.csv", 901, 1201, 10);
  auto const trace = read_series(own_folder(), "expert_trace.csv", 0, 1 << 30, 1);
  auto const replay = [](std::string const& name, expert_loads::series const& loads,
                         shunt::incremental const& solver) {
    if (!loads.loads.empty())
      benchmark::RegisterBenchmark(("incremental/" + name).c_str(), [loads, solver](State& s) {
        next_window(s, loads, 64, solver);
      })->Iterations(1);
  };
  for (std::int32_t const moves : {0, 1, 2}) {
    replay("smartmoe64/" + std::to_string(moves), series, {.moves = moves});
    replay("trace/" + std::to_string(moves), trace, {.moves = moves});
  }
  // Where tokens are split exactly, a first placement searched for the even split only has to be
  // undone.
  replay("smartmoe64/1_from_a_quick_start", series, {.moves = 1, .first = {.effort = 0}});

  add("quotas/time", at_home(skewed(layers, 256, 256, 32), 32), quotas);
  add("quotas/zipf12", at_home(recorded(own, "zipf12.csv", 16, 16), 16), quotas);
  add("quotas/esft_law", at_home(recorded(own, "esft_law.csv", 64, 16), 16), quotas);
  add("quotas/esft_translation", at_home(recorded(own, "esft_translation.csv", 64, 8), 8), quotas);
  add("quotas/logn10", at_home(recorded(given, "case_ds_logn10.csv", 256, 32), 32), quotas);
  add("quotas/norm03", at_home(recorded(given, "case_ds_norm03.csv", 256, 32), 32), quotas);
  add("quotas/smartmoe", at_home(smartmoe(32), 16), quotas);

  auto const path = [](char const* name, half which, std::int64_t capacity) {
    benchmark::RegisterBenchmark(name, [which, capacity](State& s) {
      iteration_path(s, which, capacity);
    })->Iterations(1);
  };
  path("path/own", half::both, shunt::dropless);
  path("path/own_under_capacity", half::both, 1024);
  path("path/deciding", half::deciding, shunt::dropless);
  path("path/list", half::own_list, shunt::dropless);
  path("path/all", half::all_lists, shunt::dropless);

  add("degenerate", degenerate(), sensible);
}

}  // namespace

int main(int argc, char** argv) {
  using targets::row;
  add_all();
  std::cout << "Instruction set: " << instruction_set()
            << ". More loads: " << (expert_loads::given_folder().empty() ? "none" : "given")
            << ".\n";
  auto const time = [](std::string what, std::string peers, std::string runs, double limit) {
    return row{.what = std::move(what),
               .peers = std::move(peers),
               .runs = std::move(runs) + "/iterations:1",
               .counter = "median",
               .beside = {"least"},
               .limit = limit,
               .unit = "us"};
  };
  auto const figure = [](std::string what, std::string peers, std::string runs, std::string counter,
                         double limit, std::string unit = {}) {
    return row{.what = std::move(what),
               .peers = std::move(peers),
               .runs = std::move(runs) + "/iterations:1",
               .counter = std::move(counter),
               .limit = limit,
               .unit = std::move(unit),
               .digits = 6};
  };
  return targets::run(
      argc, argv,
      {
          time("swift_moe, 16 experts x 64 slots, a layer", "", "swift_moe/16x64", 0.3),
          time("the same, 256 x 288", "", "swift_moe/256x288", 5),
          time("one expert has all tokens, 16 x 64", "the literal loop: 65,408 steps at 256 x 288",
               "swift_moe/one_has_all/16x64", 0.3),
          time("the same, 256 x 288", "6-9 ms by the literal loop", "swift_moe/one_has_all/256x288",
               5),
          time("with validation, objective and bound, 16 x 64", "", "swift_moe/whole/16x64", 0.3),
          time("the same, 256 x 288", "", "swift_moe/whole/256x288", 5),
          time("eplb, 256 x 288 x 32 ranks, a layer", "TensorRT-LLM 24-28 us, EPLB 10.7 ms",
               "eplb/256x288x32", 6),
          time("the same, 16 x 64 x 16", "TensorRT-LLM 4.2 us, EPLB 1.2 ms", "eplb/16x64x16", 1),
          time("with validation, objective and bound, 256 x 288 x 32", "", "eplb/whole/256x288x32",
               6),
          time("the same, 16 x 64 x 16", "", "eplb/whole/16x64x16", 1),
          time("balanced on 256 x 288 x 32, a layer", "FlashLB 8.2 ms", "balanced/ds/.*", 200),
          figure("its mean", "EPLB 1.0051-1.0156, FlashLB 1.0038-1.0070", "balanced/ds/.*", "mean",
                 1.0005),
          figure("its worst layer", "", "balanced/ds/.*", "worst", 1.001),
          figure("the same on 320 slots, 64 ranks: mean", "EPLB 1.0165, FlashLB 1.0135",
                 "balanced/ds64/.*", "mean", 1.0135),
          figure("4 nodes, 8 groups, logn10: mean", "EPLB 1.0660, best whole groups 1.0613",
                 "balanced/nodes/logn10", "mean", 1.0660),
          figure("4 nodes, 8 groups, norm03: mean", "EPLB 1.0262, best whole groups 1.0120",
                 "balanced/nodes/norm03", "mean", 1.0262),
          figure("8 replicas of a layer spilled to other nodes, logn10: mean",
                 "best whole groups 1.0613", "spilled/nodes/logn10", "mean", 1.0613),
          figure("the same, norm03: mean", "best whole groups 1.0120", "spilled/nodes/norm03",
                 "mean", 1.0120),
          time("balanced on zipf12, 16 x 64 x 16, a layer", "", "balanced/sm/.*", 1000),
          figure("its mean", "EPLB 1.0194, FlashLB 1.8557", "balanced/sm/.*", "mean", 1.003),
          time("balanced on SmartMoE, 64 slots, a layer", "FlashLB 1.1 ms", "balanced/smartmoe64",
               1000),
          figure("its mean, iterations 1001-5001", "iteration 1001: EPLB 1.1007, FlashLB 1.0238",
                 "balanced/smartmoe64", "mean", 1.006),
          figure("its worst layer", "", "balanced/smartmoe64", "worst", 1.02),
          time("balanced on SmartMoE, 48 slots, a layer", "", "balanced/smartmoe48", 1000),
          figure("its mean", "iteration 5001: EPLB 1.2521, FlashLB 1.0761", "balanced/smartmoe48",
                 "mean", 1.025),
          figure("balanced on esft_law, 80 slots, 16 ranks: mean", "EPLB 1.0285",
                 "balanced/esft/law", "mean", 1.0285),
          figure("balanced on esft_translation, 72 slots, 8 ranks: mean",
                 "EPLB 1.0041, FlashLB 1.0022", "balanced/esft/translation", "mean", 1.0022),
          figure("balanced on the recorded trace, 64 slots: mean", "", "balanced/trace", "mean",
                 1.01),
          figure("balanced against EPLB's placement, worst case", "", "balanced/.*", "of_eplb", 100,
                 "%"),
          figure("balanced: slots that repeat an expert on a rank", "EPLB 117-195 of 1,536",
                 "balanced/.*", "repeats", 0),
          figure("balanced: violations", "", "balanced/.*", "broken", 0),
          figure("incremental, SmartMoE 1001-1201, 64 slots, at most 2 moves: next window",
                 "FlashLB 1.083 with 1.7, EPLB 1.141 with 41.8", "incremental/smartmoe64/2", "even",
                 1.075),
          figure("its moves", "", "incremental/smartmoe64/2", "moved", 2),
          figure("at most 1 move, exact token split: next window",
                 "even split: FlashLB 1.083 with 1.7", "incremental/smartmoe64/1", "exact", 1.02),
          figure("its moves", "", "incremental/smartmoe64/1", "moved", 1),
          figure("the same, first placement without search", "",
                 "incremental/smartmoe64/1_from_a_quick_start", "exact", 1.02),
          figure("its moves", "", "incremental/smartmoe64/1_from_a_quick_start", "moved", 1),
          figure("the recorded trace, at most 2 moves: moves", "", "incremental/trace/2", "moved",
                 2),
          time("quotas, 256 experts x 32 ranks, a layer", "UltraEP 33 us (emulated)", "quotas/time",
               5),
          figure("quotas on all loads: layers above ceil(tokens / ranks)",
                 "UltraEP 1.01-1.10, LLEP 1.10", "quotas/.*", "broken", 0),
          figure("copies beyond ranks - 1, worst layer", "LLEP 1-4", "quotas/.*", "beyond", 0),
          figure("remote experts on a rank, worst layer", "MoonEP 1-2", "quotas/.*", "guests", 2),
          time("an iteration of 24 layers x 16 x 64 on 16 ranks: loads, placement, split, own "
               "scatter list",
               "", "path/own", 50),
          time("the same with drops, capacity factor 1", "", "path/own_under_capacity", 50),
          time("of it: split over 16 sources and next placement", "", "path/deciding", 50),
          time("of it: this rank's scatter list", "", "path/list", 50),
          time("with the lists of all 16 ranks", "", "path/all", 50),
          figure("one expert has all, none has any, all the same, half have none: broken answers "
                 "of 7 solvers",
                 "FlashLB stops or keeps what it had", "degenerate", "broken", 0),
      });
}
