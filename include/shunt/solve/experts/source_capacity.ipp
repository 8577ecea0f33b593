#pragma once
#include "shunt/solve/experts/source_capacity.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/experts/search/claim_noise.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int64_t source_capacity::room(std::int64_t tokens,
                                                   std::int32_t experts) const {
  if (min_capacity < 0)
    throw invalid_problem("min_capacity", "must be at least 0, is " + std::to_string(min_capacity));
  return std::max(slot_capacity(tokens, experts, factor), min_capacity);
}

SHUNT_CONSTEXPR solution<token_split> source_capacity::operator()(
    routed_tokens const& problem) const {
  validate(problem);
  solution<token_split> answer{
      .plan = {.sources = problem.ranks(), .slots = problem.slots(), .experts = problem.experts}};
  auto& plan = answer.plan;
  auto const cells = [](std::int32_t rows, std::int32_t columns) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  };
  plan.tokens.assign(cells(plan.sources, plan.slots), 0);
  plan.dropped.assign(cells(plan.sources, plan.experts), 0);
  indexed<expert_id, std::vector<slot_id>> replicas(static_cast<std::size_t>(plan.experts));
  for (slot_id const s : ids<slot_id>(plan.slots))
    replicas[problem.expert_of[s.index()]].push_back(s);

  std::int64_t all = 0;
  for (rank_id const i : ids<rank_id>(plan.sources)) {
    std::int64_t tokens = 0;
    for (expert_id const e : ids<expert_id>(plan.experts)) tokens += problem.count(i, e);
    auto const most = room(tokens, plan.experts);
    auto const group = static_cast<std::size_t>(problem.first_slot[i.index()] / plan.experts);
    for (expert_id const e : ids<expert_id>(plan.experts)) {
      auto const claims = problem.count(i, e), kept = std::min(claims, most);
      if (claims > 0 && replicas[e].empty()) {
        answer = {};
        answer.status = status::infeasible;
        answer.reason = "expert_of: expert " + std::to_string(e.value()) + " has " +
                        std::to_string(claims) + " tokens of rank " + std::to_string(i.value()) +
                        " and no slot";
        return answer;
      }
      if (kept > 0) plan.sent(i, replicas[e][group % replicas[e].size()]) = kept;
      plan.drops(i, e) = claims - kept;
      all += claims - kept;
    }
  }
  answer.objective = answer.lower_bound = static_cast<double>(all);
  answer.status = status::optimal;
  return answer;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> random_claimants(std::span<std::int32_t const> expert,
                                                           std::int32_t experts, std::int64_t room,
                                                           std::uint64_t seed,
                                                           token_source const& of) {
  std::vector<std::int64_t> left(static_cast<std::size_t>(std::max(experts, 0)), room);
  for (std::size_t t = 0; t < expert.size(); ++t)
    if (expert[t] < 0 || expert[t] >= experts)
      throw std::invalid_argument("token " + std::to_string(t) + " goes to expert " +
                                  std::to_string(expert[t]) + " of " + std::to_string(experts));
  auto const noise =
      detail::claim_noise::of(seed, of.iteration, of.layer.value(), of.source.value());
  std::vector<std::int64_t> kept;
  for (auto const t : noise.order(static_cast<std::int64_t>(expert.size())))
    if (auto& places = left[static_cast<std::size_t>(expert[static_cast<std::size_t>(t)])];
        places > 0) {
      --places;
      kept.push_back(t);
    }
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace shunt
