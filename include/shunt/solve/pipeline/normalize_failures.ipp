#pragma once
#include "shunt/solve/pipeline/normalize_failures.hpp"

#include <algorithm>
#include <utility>

namespace shunt {

SHUNT_CONSTEXPR std::int32_t normalized_failures::moves() const {
  return static_cast<std::int32_t>(std::count_if(
      changes.begin(), changes.end(), [](role_change const& c) { return c.from.has_value(); }));
}

SHUNT_CONSTEXPR stage_group_cost::stage_group_cost(pipeline_job const& job)
    : job_(job),
      cost_(detail::least_costs(job, 1)),
      in_(job),
      paths_(job),
      ranks_(static_cast<std::size_t>(job.stages), 0) {
  for (rank_id r : ids<rank_id>(in_.of.size()))
    for (stage_id s : in_.all[static_cast<std::size_t>(in_.of[r])].stages) ++ranks_[s.index()];
}

SHUNT_CONSTEXPR ticks stage_group_cost::operator()(std::size_t c, std::int32_t failures) const {
  stage_group const& held = in_.all[c];
  ticks work = 0, gradients = 0, steps = 0;
  for (stage_id s : held.stages) {
    if (failures < 0 || failures >= ranks_[s.index()])
      throw invalid_problem("failures", "must be 0 to " + std::to_string(ranks_[s.index()] - 1) +
                                            " at stage " + std::to_string(s.value()) + ", is " +
                                            std::to_string(failures));
    auto const load =
        ceil_divide<std::int64_t>(job_.total_microbatches(), ranks_[s.index()] - failures);
    work += load * (cost_.microbatch(s) - std::min(cost_.overlap_gain, cost_.forward[s]));
    gradients += load * (cost_.backward_input[s] + cost_.backward_weight[s]);
    steps += cost_.step[s];
  }
  stage_id const last = held.stages.back();
  ticks const trip = held.stages.size() == 1 ? cost_.forward[last] + paths_.tail[last.index()] : 0;
  return std::max(work, trip + gradients) + steps;
}

}  // namespace shunt

namespace shunt::detail {

// Finds the counts for one limit by a dynamic program over stage groups: best[c][n] = min over k
// of best[c-1][n-k] + moves of (c, k).
SHUNT_CONSTEXPR spread spread_failures(std::vector<std::vector<ticks>> const& cost,
                                       std::vector<std::int32_t> const& now, std::int32_t failures,
                                       ticks limit) {
  using value = std::pair<std::int32_t, ticks>;
  constexpr value impossible{std::numeric_limits<std::int32_t>::max(), 0};
  auto const width = static_cast<std::size_t>(failures) + 1;
  std::vector<value> best(width, impossible);
  best[0] = {0, 0};
  std::vector<std::vector<std::int32_t>> chosen(cost.size(), std::vector<std::int32_t>(width, 0));
  for (std::size_t c = 0; c < cost.size(); ++c) {
    std::vector<value> next(width, impossible);
    for (std::size_t k = 0; k < std::min(width, cost[c].size()); ++k) {
      if (cost[c][k] > limit) continue;
      auto const moves = std::max(0, static_cast<std::int32_t>(k) - now[c]);
      for (std::size_t n = k; n < width; ++n) {
        if (best[n - k] == impossible) continue;
        value const v{best[n - k].first + moves, best[n - k].second + cost[c][k]};
        if (v >= next[n]) continue;
        next[n] = v;
        chosen[c][n] = static_cast<std::int32_t>(k);
      }
    }
    best = std::move(next);
  }
  if (best.back() == impossible) return {};
  spread found{.limit = limit,
               .failures = std::vector<std::int32_t>(cost.size(), 0),
               .moves = best.back().first};
  std::size_t left = width - 1;
  for (std::size_t c = cost.size(); c-- > 0;) {
    found.failures[c] = chosen[c][left];
    left -= static_cast<std::size_t>(found.failures[c]);
  }
  return found;
}

SHUNT_CONSTEXPR spread least_spread(std::vector<std::vector<ticks>> const& cost,
                                    std::vector<std::int32_t> const& now, std::int32_t failures,
                                    std::int32_t most_moves) {
  std::vector<ticks> limits;
  for (auto const& stage_group : cost)
    limits.insert(limits.end(), stage_group.begin(), stage_group.end());
  std::sort(limits.begin(), limits.end());
  limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  spread best;
  for (std::size_t low = 0, high = limits.size(); low < high;) {
    std::size_t const middle = low + (high - low) / 2;
    auto found = spread_failures(cost, now, failures, limits[middle]);
    if (found.found() && found.moves <= most_moves) {
      best = std::move(found);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return best;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<normalized_failures> normalize_failures::operator()(
    pipeline_job const& job) const {
  validate(job);
  return (*this)(job, stage_group_cost(job));
}

SHUNT_CONSTEXPR rank_id normalize_failures::lowest_of(stage_groups const& in, std::size_t c) {
  rank_id r = 0;
  while (in.of[r] != static_cast<std::int32_t>(c)) ++r;
  return r;
}

SHUNT_CONSTEXPR normalized_failures normalize_failures::assigned(
    pipeline_job const& job, stage_groups const& in, std::vector<bool> is_dead,
    std::vector<std::int32_t> now, std::vector<std::int32_t> failures) {
  normalized_failures plan{.failures = std::move(failures)};
  std::vector<rank_id> leavers;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const c = static_cast<std::size_t>(in.of[r]);
    if (is_dead[r.index()] || now[c] >= plan.failures[c]) continue;
    leavers.push_back(r);
    ++now[c];
  }
  std::size_t next = 0;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const c = static_cast<std::size_t>(in.of[r]);
    if (!is_dead[r.index()] || now[c] <= plan.failures[c]) continue;
    --now[c];
    rank_id nearest = in.all[c].live.front();
    for (rank_id const peer : in.all[c].live)
      if (job.transfer(peer, r) < job.transfer(nearest, r)) nearest = peer;
    plan.changes.push_back(
        {.to = r,
         .from = next < leavers.size() ? std::optional(leavers[next]) : std::nullopt,
         .copied_from = nearest});
    ++next;
  }
  for (role_change const& change : plan.changes) {
    is_dead[change.to.index()] = false;
    if (change.from) is_dead[change.from->index()] = true;
  }
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (is_dead[r.index()]) plan.dead.push_back(job.worker_of(r));
  return plan;
}

}  // namespace shunt
