#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Returns a job of pipelines x ranks, each rank with so many layers, without dead workers. A layer
/// is a stage with unit costs and a state of one byte.
inline worker_losses losses_of(std::int32_t pipelines, std::int32_t ranks, std::int32_t layers,
                               std::int32_t microbatches) {
  std::vector<rank_id> layout;
  for (std::int32_t p = 0; p < pipelines; ++p)
    for (std::int32_t s = 0; s < ranks * layers; ++s) layout.push_back(p * ranks + s / layers);
  return {.job = {.pipelines = pipelines,
                  .stages = ranks * layers,
                  .microbatches = microbatches,
                  .layout = stage_layout::custom(std::move(layout))},
          .state = 1};
}

/// The same with a rank's worker dead for each of these ranks.
inline worker_losses without(worker_losses losses, std::vector<std::int32_t> const& ranks) {
  for (auto const r : ranks) losses.job.dead.push_back(losses.job.worker_of(r));
  return losses;
}

/// Returns a job's costs with each rank slower by its factor, those of spares left out.
inline stage_costs by_factors(pipeline_job const& job, std::vector<std::int32_t> const& factors) {
  auto costs = job.costs;
  for (auto* list : {&costs.forward, &costs.backward_input, &costs.backward_weight}) {
    std::vector<ticks> all;
    for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
      for (stage_id const s : ids<stage_id>(job.stages))
        all.push_back(list->of(p, s, job.stages) * factors[job.rank_of({p, s}).index()]);
    *list = per_stage(std::move(all));
  }
  return costs;
}

/// Returns random losses of at most 4 x 4 ranks with links, caps, spares and costs of all kinds.
inline worker_losses random_losses(random_cases& random) {
  auto const pipelines = random.roll(1, 4), each = random.roll(1, 4), layers = random.roll(1, 3);
  auto losses = losses_of(pipelines, each, layers, random.roll(1, 6));
  auto& job = losses.job;
  job.costs = {.forward = random.costs(job.stages, 1, 4),
               .backward_input = random.costs(job.stages, 1, 4),
               .backward_weight = random.costs(job.stages, 0, 4),
               .step = random.roll(0, 3)};
  losses.state = random.costs(job.stages, 0, 9);
  auto const ranks = job.ranks();
  std::vector<std::int32_t> dead;
  for (std::int32_t r = 0; r < ranks; ++r)
    if (random.roll(0, 4) == 0) dead.push_back(r);
  losses = without(std::move(losses), dead);
  switch (random.roll(0, 3)) {
    case 0: job.transfer = random.roll(0, 2); break;
    case 1: job.transfer = {1, random.roll(1, 4), 2}; break;
    case 2: {
      std::vector<ticks> matrix;
      for (std::int32_t k = 0; k < ranks * ranks; ++k) matrix.push_back(random.roll(0, 3));
      job.transfer = {ranks, std::move(matrix)};
      break;
    }
    default: break;
  }
  if (job.transfer.matrix.empty()) losses.spares = random.roll(0, 2);
  switch (random.roll(0, 4)) {
    case 0: job.memory = stash_cap::per_worker(random.roll(4, 40)); break;
    case 1: job.memory = stash_cap::one_f_one_b(); break;
    case 2: {
      std::vector<std::int64_t> limits;
      for (std::int32_t r = 0; r < ranks; ++r) limits.push_back(random.roll(4, 40));
      job.memory = stash_cap::per_rank(std::move(limits));
      break;
    }
    default: break;
  }
  if (random.roll(0, 3) == 0) losses.state_limit = random.roll(9, 40);
  losses.change = {.every = random.roll(0, 5),
                   .moving = random.roll(0, 50),
                   .within_node = random.roll(0, 2) * .5,
                   .between_nodes = random.roll(0, 2) * .25};
  bool const lasting = random.roll(0, 1) == 1;
  losses.until_next = lasting ? random.roll(1, 3000) : 0;
  return losses;
}

/// Returns random losses whose ranks differ, by few factors or each of its own, or whose
/// micro-batches do, or both.
inline worker_losses random_uneven_losses(random_cases& random) {
  auto losses = random_losses(random);
  auto& job = losses.job;
  auto const which = random.roll(0, 3);
  if (which != 0) {
    if (random.roll(0, 2) == 0) losses.normal = job.costs;
    std::vector<std::int32_t> factors;
    for (std::int32_t r = 0; r < job.ranks(); ++r)
      factors.push_back(which == 1 ? random.roll(1, 5) : std::max(1, random.roll(-2, 3)));
    job.costs = by_factors(job, factors);
  }
  if (which % 3 == 0)
    for (std::int32_t n = 0; n < job.total_microbatches(); ++n)
      job.lengths.push_back(random.roll(1, which == 0 ? 4 : 900));
  return losses;
}

}  // namespace shunt::tests
