#pragma once
#include "shunt/solve/experts/elastic.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/search/move_front.hpp"

namespace shunt {

SHUNT_CONSTEXPR void elastic::require(expert_layers const& problem) const {
  if (moves < 0) throw invalid_problem("moves", "must be at least 0, is " + std::to_string(moves));
  if (!(balance >= 1)) throw invalid_problem("balance", "must be at least 1");
  if (effort < 0)
    throw invalid_problem("effort", "must be at least 0, is " + std::to_string(effort));
  validate(problem);
  if (std::int64_t{problem.experts} * problem.ranks() > most_pairs)
    throw invalid_problem("experts", std::to_string(problem.experts) + " on " +
                                         std::to_string(problem.ranks()) +
                                         " ranks: elastic is made for up to 2^27 pairs");
}

SHUNT_INLINE std::vector<elastic::point> elastic::front_within(expert_layers const& problem,
                                                               layer_id l,
                                                               std::int32_t limit) const {
  auto one = layer_of(problem, l);
  auto const before = problem.previous_of(l);
  one.previous.assign(before.begin(), before.end());
  detail::move_front search(one, balance);
  // a budget below what is required asks for no more than that
  if (std::int32_t const required = search.begin(); limit > 0 && limit >= required) {
    search.grow();
    if (auto fresh = first(one); fresh.has_plan())
      search.take_back(keep_ranks{}(one, fresh.plan).plan);
    search.walk(effort, first.seed);
  }
  std::vector<point> front;
  for (auto& p : search.points(limit))
    front.push_back(
        {.moves = p.moves, .max_over_mean = p.max_over_mean, .slots = std::move(p.slots)});
  return front;
}

SHUNT_INLINE std::vector<elastic::point> elastic::front(expert_layers const& problem,
                                                        layer_id l) const {
  require(problem);
  return front_within(problem, l, std::numeric_limits<std::int32_t>::max());
}

SHUNT_INLINE solution<expert_placement> elastic::operator()(expert_layers const& problem) const {
  require(problem);
  if (problem.previous.empty()) return first(problem);
  auto answer = unplaced(problem);
  if (!answer.has_plan()) return answer;
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const slots = front_within(problem, l, moves).back().slots;
    std::copy(slots.begin(), slots.end(), answer.plan.layer(l).begin());
  }
  return evaluated(problem, std::move(answer.plan));
}

}  // namespace shunt
