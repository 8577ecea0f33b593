#pragma once
/// What rebalance_experts answers, apart from Python.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "eplb_rule.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_moves.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/named/expert_solvers.hpp"

namespace planner {

/// How a placement is found.
struct search {
  std::string solver = "balanced";
  std::int64_t effort = 0;
  std::uint64_t seed = 1;
  std::optional<std::int32_t> moves{};  ///< of incremental and elastic
};

struct question {
  shunt::expert_layers layers{};  ///< dead GPUs have no slots, and none in `previous`
  std::vector<float> weights{};   ///< the loads as EPLB reads them
  eplb_shape shape{};             ///< of EPLB's rule on the live GPUs
  bool whole = true;              ///< whether all GPUs live
  search how{};
};

struct answer {
  shunt::expert_placement plan{};
  std::vector<std::int32_t> ranks{};  ///< EPLB's rank of each slot; empty: ascending slots
  std::vector<double> imbalance{};    ///< max/mean of each layer
};

/// Returns the loads of a layer as whole numbers. Whole loads whose sum times `width` (slots and
/// experts) is below 2^61 stay as they are. Others are multiplied by the power of two that brings
/// this product to 2^60 .. 2^61, and rounded; `exact` is then false.
template <class Number>
void append_whole(std::span<Number const> loads, double width, std::vector<std::int64_t>& to,
                  bool& exact) {
  double sum = 0;
  bool whole = true;
  for (Number const w : loads) {
    sum += static_cast<double>(w);
    if constexpr (std::is_floating_point_v<Number>) whole = whole && w == std::floor(w);
  }
  exact = sum == 0 || (whole && sum * width < 0x1p61);
  int const shift = exact ? 0 : 60 - std::ilogb(sum * width);
  for (Number const w : loads)
    to.push_back(exact ? static_cast<std::int64_t>(w)
                       : std::llround(std::ldexp(static_cast<double>(w), shift)));
}

/// EPLB's rule; where GPUs are dead, its global policy on the live ones.
inline answer by_rule(question const& q) {
  answer found{.plan = shunt::unplaced(q.layers).plan};
  found.ranks.resize(found.plan.expert_of.size());
  eplb_rule rule(q.shape);
  std::vector<std::int32_t> experts(q.shape.replicas);
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(q.layers.layers)) {
    rule(std::span(q.weights).subspan(l.index() * q.shape.experts, q.shape.experts), experts,
         std::span(found.ranks).subspan(l.index() * experts.size(), experts.size()));
    std::ranges::copy(experts, found.plan.layer(l).begin());
  }
  return found;
}

/// Sets max/mean of each layer.
inline void measure(question const& q, answer& found) {
  found.imbalance.clear();
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(q.layers.layers))
    found.imbalance.push_back(shunt::max_over_mean(q.layers.loads_of(l), found.plan, l));
}

/// Takes the layers of `other` that have a smaller largest load.
inline void take_better(question const& q, answer const& other, answer& best) {
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(q.layers.layers))
    if (other.imbalance[l.index()] < best.imbalance[l.index()]) {
      best.imbalance[l.index()] = other.imbalance[l.index()];
      std::ranges::copy(other.plan.layer(l), best.plan.layer(l).begin());
    }
}

/// Takes SwiftMoE's placement of the layers where it has a smaller largest load: replicas by
/// swift_moe_counts, slot after slot.
inline void take_better_swift_moe(question const& q, answer& best) {
  auto const experts = static_cast<std::size_t>(q.layers.experts);
  std::vector<std::int32_t> counts(experts);
  std::vector<std::int64_t> scratch(2 * experts);
  auto const of_gpu = q.shape.replicas / q.shape.gpus;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(q.layers.layers)) {
    auto const loads = q.layers.loads_of(l);
    shunt::swift_moe_counts(loads.data(), q.layers.experts, q.layers.slots(), counts.data(),
                            scratch.data());
    double total = 0, most = 0, load = 0;
    std::size_t slot = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      total += static_cast<double>(loads[e]);
      double const share = static_cast<double>(loads[e]) / counts[e];
      for (std::int32_t c = 0; c < counts[e]; ++c) {
        load += share;
        most = std::max(most, load);
        if (++slot % of_gpu == 0) load = 0;
      }
    }
    double const ratio = most * static_cast<double>(q.shape.gpus) / total;
    if (!(ratio < best.imbalance[l.index()])) continue;  // also where there is no load
    auto to = best.plan.layer(l).begin();
    for (std::size_t e = 0; e < experts; ++e) to = std::fill_n(to, counts[e], shunt::expert_id{e});
    best.imbalance[l.index()] = shunt::max_over_mean(loads, best.plan, l);
  }
}

/// Solvers whose rows may go to any GPU, for keep_ranks and near_sources.
inline bool deals_rows(std::string const& solver) {
  return solver != "eplb" && solver != "incremental" && solver != "elastic" &&
         solver != "flexmoe" && solver != "shadow";
}

/// Throws invalid_problem for a search that the solver does not know.
inline void validate(search const& how) {
  bool found = false;
  std::string names;
  for (auto const& s : shunt::expert_solvers) {
    found = found || s.name == how.solver;
    names += (names.empty() ? "" : ", ") + std::string(s.name);
  }
  if (!found) throw shunt::invalid_problem("solver", "'" + how.solver + "' is none of " + names);
  if (how.effort < 0)
    throw shunt::invalid_problem("effort", "must be at least 0, is " + std::to_string(how.effort));
  if (how.effort > 0 && how.solver != "balanced" && how.solver != "incremental" &&
      how.solver != "elastic" && how.solver != "spilled_groups" && how.solver != "exact_placement")
    throw shunt::invalid_problem("effort", how.solver + " does not search");
  if (how.moves && how.solver != "incremental" && how.solver != "elastic")
    throw shunt::invalid_problem("move_budget",
                                 how.solver + " keeps to none; incremental and elastic do");
}

/// Solves by a solver of the library.
inline shunt::solution<shunt::expert_placement> solved(shunt::expert_layers const& problem,
                                                       search const& how) {
  shunt::balanced const balanced{.effort = how.effort, .seed = how.seed};
  if (how.solver == "balanced") return balanced(problem);
  if (how.solver == "incremental") {
    shunt::incremental solver{.first = balanced};
    solver.moves = how.moves.value_or(solver.moves);
    return solver(problem);
  }
  if (how.solver == "elastic")
    return shunt::elastic{.moves = how.moves.value_or(0), .first = balanced}(problem);
  if (how.solver == "spilled_groups") return shunt::spilled_groups{.first = balanced}(problem);
  if (how.solver == "exact_placement" && how.effort > 0)
    return shunt::exact_placement{.effort = how.effort}(problem);
  return shunt::expert_solver_named("solver", how.solver).solve(problem, {});
}

/// Returns a placement of every expert.
/// Throws invalid_problem where the solver has none.
inline answer place(question q) {
  auto const rule = [&] {
    answer found = by_rule(q);
    measure(q, found);
    return found;
  };
  if (q.how.solver == "eplb") return rule();
  bool const grouped = q.layers.groups > 0;
  bool const rule_fits = q.whole || !grouped;
  answer best;
  bool const quick = q.how.solver == "balanced" && q.how.effort == 0;
  if (quick && rule_fits) {
    best = rule();
    best.ranks.clear();
    if (!grouped) take_better_swift_moe(q, best);
  } else {
    auto found = quick ? shunt::eplb{.keep_groups = true}(q.layers) : solved(q.layers, q.how);
    bool const usable = found.has_plan() || (found.status == shunt::status::limit_reached &&
                                             shunt::check(q.layers, found.plan).empty());
    if (!usable && grouped && !q.whole) {  // no node has room for whole groups
      q.layers.groups = q.layers.ranks_per_node = 0;
      return place(std::move(q));
    }
    if (!usable)
      throw shunt::invalid_problem("solver", q.how.solver +
                                                 " has no placement: " + std::string(found.reason));
    best.plan = std::move(found.plan);
    measure(q, best);
    if (q.how.solver == "balanced" && rule_fits) take_better(q, rule(), best);
  }
  if (!deals_rows(q.how.solver)) return best;
  if (!q.layers.sources.empty())
    best.plan = shunt::near_sources{}(q.layers, best.plan).plan;
  else if (!q.layers.previous.empty())
    best.plan = shunt::keep_ranks{}(q.layers, best.plan).plan;
  return best;
}

/// Layer, expert, slot, and the slot that the expert comes from, or -1.
using move = std::array<std::int64_t, 4>;

/// Returns a move for each slot that changes its expert, in the numbers of the slots of all GPUs. A
/// GPU's further slot of an expert comes from where the first one does.
inline std::vector<move> moves_of(shunt::expert_layers const& layers,
                                  shunt::expert_placement const& plan,
                                  std::vector<bool> const& live, std::size_t of_gpu) {
  std::vector<std::int64_t> number;  // of the slots of live GPUs
  for (std::size_t s = 0; s < live.size() * of_gpu; ++s)
    if (live[s / of_gpu]) number.push_back(static_cast<std::int64_t>(s));
  std::vector<move> all;
  for (auto const& m : shunt::expert_moves_of(layers, plan)) {
    std::int64_t from = m.is_outside() ? -1 : number[m.from.index()];
    bool const copied =
        m.sender == m.receiver && layers.previous_of(m.layer)[m.from.index()] != m.expert;
    for (std::size_t i = all.size(); copied && i-- > 0;)
      if (all[i][2] == from && all[i][0] == m.layer.value()) from = all[i][3];
    all.push_back({m.layer.value(), m.expert.value(), number[m.to.index()], from});
  }
  return all;
}

}  // namespace planner
