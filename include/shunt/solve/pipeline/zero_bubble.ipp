#pragma once
#include "shunt/solve/pipeline/zero_bubble.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"

namespace shunt::detail {

// Returns the job with all stages at the median cost, or nothing where all stages cost the same.
SHUNT_INLINE std::optional<pipeline_job> with_median_costs(pipeline_job const& job) {
  bool differ = false;
  auto const median = [&](per_stage const& costs) {
    auto sorted = costs.values();
    std::sort(sorted.begin(), sorted.end());
    differ = differ || sorted.front() != sorted.back();
    return per_stage(sorted[sorted.size() / 2]);
  };
  pipeline_job alike = job;
  alike.costs.forward = median(job.costs.forward);
  alike.costs.backward_input = median(job.costs.backward_input);
  alike.costs.backward_weight = median(job.costs.backward_weight);
  alike.costs.step = median(job.costs.step);
  return differ ? std::optional(alike) : std::nullopt;
}

// As planned, for a valid job, in which every rank takes micro-batches by their numbers.
SHUNT_INLINE solution<pipeline_schedule> planned_by_number(pipeline_job const& job, bool stagger,
                                                           std::int64_t effort,
                                                           std::vector<recipe> const& known) {
  solution<pipeline_schedule> answer{.status = status::infeasible};
  answer.plan = empty_schedule(job);
  answer.plan.staggered_step = stagger;
  if (auto const stage = stage_without_worker(job)) {
    answer.reason = text("stage ") + text::of(stage->value()) + " has no live worker";
    return answer;
  }
  if (!job.dead.empty()) {
    answer.reason = text("worker ") + describe(job.dead.front()) +
                    " is dead and its micro-batches are not re-routed";
    return answer;
  }
  auto const bound = [&](pipeline_job const& of) {
    return stagger ? period_bound(of, true) : makespan_bound(of);
  };
  ticks const least = bound(job);
  zero_bubble_search search(job, stagger, least, effort);
  if (auto const r = search.chain().too_small(); r >= 0) {
    answer.reason = text("rank ") + text::of(r) + " can't stash one micro-batch, the cap is " +
                    text::of(*job.stash_limit(r));
    return answer;
  }
  std::vector<std::int32_t> alike_order;
  if (auto const alike = with_median_costs(job)) {
    zero_bubble_search simple(*alike, stagger, bound(*alike), effort);
    simple.search(known);
    alike_order = simple.sequence();
    search.evaluate(alike_order);
  }
  search.search(known);
  auto plan = search.chain().schedule(search.sequence(), stagger);
  // the search judges periods by one pass; exact periods take one pass per stage group
  if (stagger) {
    answer = evaluated(job, std::move(plan));
    if (alike_order.empty() || answer.status == status::optimal) return answer;
    auto simple = evaluated(job, search.chain().schedule(alike_order, stagger));
    return simple.objective < answer.objective ? simple : answer;
  }
  answer.plan = std::move(plan);
  answer.objective = static_cast<double>(search.best() + longest_step(job));
  answer.lower_bound = static_cast<double>(least + longest_step(job));
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

SHUNT_INLINE solution<pipeline_schedule> planned(pipeline_job const& job, bool stagger,
                                                 std::int64_t effort,
                                                 std::vector<recipe> const& known) {
  validate(job);
  if (std::all_of(job.lengths.begin(), job.lengths.end(),
                  [&](std::int64_t l) { return l == job.lengths[0]; }))
    return planned_by_number(job, stagger, effort, known);
  auto best = planned_by_number(job, stagger, effort / 3, known);
  for (bool const long_first : {true, false}) {
    if (!best.has_plan() || best.status == status::optimal) return best;
    pipeline_job sorted = job;
    std::vector<std::int32_t> number;  // [n]: of the n-th micro-batch of all, within its pipeline
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      auto const before = number.size();
      for (std::int32_t m = 0; m < job.microbatches[p]; ++m) number.push_back(m);
      std::sort(number.begin() + static_cast<std::ptrdiff_t>(before), number.end(),
                [&](std::int32_t a, std::int32_t b) {
                  auto const x = job.length_of(p, a), y = job.length_of(p, b);
                  return x == y ? a < b : (x > y) == long_first;
                });
      for (auto n = before; n < number.size(); ++n)
        sorted.lengths[n] = job.lengths[before + static_cast<std::size_t>(number[n])];
    }
    auto other = planned_by_number(sorted, stagger, effort / 3, known);
    if (other.objective >= best.objective) continue;
    for (auto& order : other.plan.order)
      for (auto& op : order)
        if (op.kind != op_kind::step)
          op.microbatch =
              number[static_cast<std::size_t>(job.number_of(op.pipeline, op.microbatch))];
    other.lower_bound = best.lower_bound;
    other.status = other.objective == best.lower_bound ? status::optimal : status::feasible;
    best = std::move(other);
  }
  return best;
}

SHUNT_INLINE solution<pipeline_schedule> planned_within(std::int64_t stashes,
                                                        pipeline_job const& job, bool stagger,
                                                        std::int64_t effort,
                                                        std::vector<recipe> const& known) {
  validate(job);
  std::vector<std::int64_t> limits;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const workers = job.workers_of(r);
    std::int64_t all = 0;
    for (worker const& w : workers) all += job.stash.forward[w.stage];
    std::int64_t const room = std::max(
        all, checked_multiply(stashes, all).value_or(std::numeric_limits<std::int64_t>::max()) /
                 static_cast<std::int64_t>(workers.size()));
    limits.push_back(std::min(room, job.stash_limit(r).value_or(room)));
  }
  pipeline_job within = job;
  within.memory = stash_cap::per_rank(std::move(limits));
  auto answer = planned(within, stagger, effort, known);
  if (!answer.has_plan()) return answer;
  answer.lower_bound = static_cast<double>(period_bound(job, stagger));
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<pipeline_schedule> zero_bubble::operator()(pipeline_job const& job) const {
  using r = detail::recipe;
  std::vector<r> known{
      {},
      {r::true_costs, r::inputs, r::last, r::fill, 1},
      {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2},
      {r::light_weights, r::way_thrice, r::one_later, r::over_one_and_half, 3, r::until_weight},
      {r::equal_costs, r::shortest_block, r::last, r::by_block, 4, r::until_weight},
      {r::light_weights, r::way_thrice, r::with_input, r::fit_half, 3, r::until_weight},
      {r::true_costs, r::inputs, r::last, r::fill_more, 1},
      {r::equal_costs, r::way_thrice, r::two_later, r::unlimited, 1},
      {r::light_weights, r::late_turn_block, r::one_later, r::by_block, 4, r::until_weight}};
  if (stagger) {
    known.insert(known.begin() + 2,
                 {r::equal_costs, r::way_thrice, r::half_later, r::unlimited, 2});
    known.insert(known.begin() + 4, {r::light_weights, r::way_thrice, r::with_input, r::unlimited,
                                     2, r::until_weight});
    known.insert(known.begin() + 5,
                 {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 2});
  }
  return detail::planned(job, stagger, effort, known);
}

}  // namespace shunt
