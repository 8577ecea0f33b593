#pragma once
#include "shunt/solve/experts/incremental.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/search/placement_changes.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> incremental::operator()(
    expert_layers const& problem) const {
  if (moves < 0) throw invalid_problem("moves", "must be at least 0, is " + std::to_string(moves));
  if (windows < 1)
    throw invalid_problem("windows", "must be at least 1, is " + std::to_string(windows));
  if (!(price >= 0)) throw invalid_problem("price", "must be at least 0");
  if (fresh_from < 0)
    throw invalid_problem("fresh_from", "must be at least 0, is " + std::to_string(fresh_from));
  validate(problem);
  if (std::int64_t{problem.experts} * problem.ranks() > most_pairs)
    throw invalid_problem("experts", std::to_string(problem.experts) + " on " +
                                         std::to_string(problem.ranks()) +
                                         " ranks: incremental is made for up to 2^27 pairs");
  auto answer = problem.previous.empty() ? first(problem) : unplaced(problem);
  if (!answer.has_plan() || (problem.previous.empty() && problem.windows() == 0)) return answer;
  detail::windowed_placement state(problem, std::min(windows, problem.windows() + 1));
  if (problem.previous.empty()) {
    settle(problem, state, answer.plan);
    return evaluated(problem, std::move(answer.plan));
  }
  answer.plan.expert_of = problem.previous;
  auto fresh = solved_anew(problem, state);  // one or none
  using detail::placement_changes;
  placement_changes changes(problem, state, price);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    state.load(problem, l);
    auto const before = problem.previous_of(l);
    changes.begin(before);
    auto const homes = placement_changes::homes_of(problem, answer.plan, l);
    changes.go_home(homes);
    std::int32_t left = moves;
    if (!state.place(before)) left -= changes.complete();
    while (left > 0) {
      std::int32_t const used = changes.change(
          static_cast<std::int32_t>(std::min<std::int64_t>(left, problem.slots())), false);
      if (used == 0) break;
      left -= used;
    }
    // what has to be placed may exceed the budget; then nothing is added to it
    std::int32_t const budget = std::max(moves, changes.moved());
    changes.refine(budget - changes.moved());
    auto const slots = answer.plan.layer(l);
    std::copy(state.slots().begin(), state.slots().end(), slots.begin());
    if (fresh.empty()) continue;
    double const now = state.score() + price * moved_experts(before, answer.plan, l);
    state.place(fresh[0].layer(l));
    auto const anew = placement_changes::homes_of(problem, fresh[0], l);
    if (changes.moved() > budget && anew != homes) continue;
    bool fits = true;
    while (fits && changes.moved() > budget) fits = changes.take_back() > 0;
    if (!fits) continue;
    changes.go_home(anew);
    changes.refine(budget - changes.moved());
    std::copy(state.slots().begin(), state.slots().end(), fresh[0].layer(l).begin());
    if (state.score() + price * moved_experts(before, fresh[0], l) < now)
      std::copy(state.slots().begin(), state.slots().end(), slots.begin());
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR void incremental::settle(expert_layers const& problem,
                                         detail::windowed_placement& state,
                                         expert_placement& plan) const {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  detail::placement_changes changes(problem, state, price);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    state.load(problem, l);
    state.place(plan.layer(l));
    changes.go_home(detail::placement_changes::homes_of(problem, plan, l));
    for (std::int64_t left = 2 * std::int64_t{problem.slots()}, used = 1; left > 0 && used > 0;
         left -= used)
      used = changes.change(static_cast<std::int32_t>(std::min(left, most)), false);
    std::copy(state.slots().begin(), state.slots().end(), plan.layer(l).begin());
  }
}

SHUNT_CONSTEXPR std::vector<expert_placement> incremental::solved_anew(
    expert_layers const& problem, detail::windowed_placement& state) const {
  std::vector<expert_placement> fresh;
  if (moves < fresh_from) return fresh;
  auto answer = first(problem);
  if (!answer.has_plan()) return fresh;
  settle(problem, state, answer.plan);
  fresh.push_back(keep_ranks{}(problem, answer.plan).plan);
  return fresh;
}

}  // namespace shunt
