#pragma once
/// What no plan of a pipeline job can beat.
///
/// D pipelines, S stages, M micro-batches each; F, I, W forward, backward_input and backward_weight of a stage, c the transfer, K the stash
/// cap. Some live worker of stage j computes at least n_j = ceil(D M / live peers of j) micro-batches, wherever they are routed. From the
/// earliest start of stage i over its live peers to the latest end there passes at least
///
///     n_i (F_i + I_i + W_i)                                                          the work of that worker
///     trip_i + n_i (I_i + W_i)                                                       until the first gradient returns only forwards run,
///                                                                                    trip_i = sum_{k>=i} F_k + sum_{k>i} I_k + 2c (S-1-i)
///     trip_i + (n_j - 1) max(F_j, I_j) + I_i + W_i             for j >= i            all of them pass one worker of stage j
///     sum_{i<=k<j} (F_k + I_k + 2c) + n_j (F_j + I_j) + W_i    for j > i             the same, going and coming
///     ceil(n_i / K) (trip_i + I_i + W_i)                       with a cap            a stash lives that long
///
/// The period of a staggered step is at least the largest of these plus the stage's step; the makespan is at least the largest plus the
/// way there, sum_{k<i} (F_k + c). Reference: SlipStream's load and path bounds, extended to unequal costs and caps.
/// Quadratic in S. A stage without a live worker counts as having one.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The least time from the earliest start to the latest end of each stage over its live peers, whatever the plan.
[[nodiscard]] constexpr indexed<stage_id, ticks> span_bounds(pipeline_job const& job) {
  auto const& cost = job.costs;
  indexed<stage_id, ticks> bounds, load;
  for (stage_id s : ids<stage_id>(job.stages)) {
    auto const peers = std::max<std::int64_t>(1, static_cast<std::int64_t>(job.live_peers(s).size()));
    load.push_back(ceil_divide<std::int64_t>(job.microbatches_in_all(), peers));
  }
  for (stage_id i : ids<stage_id>(job.stages)) {
    ticks const forward = cost.forward[i], input = cost.backward_input[i], weight = cost.backward_weight[i];
    ticks trip = forward;
    for (stage_id k : id_range<stage_id>(i.value() + 1, job.stages)) trip += cost.forward[k] + cost.backward_input[k] + 2 * job.transfer;
    ticks bound = std::max(load[i] * (forward + input + weight), trip + load[i] * (input + weight));
    ticks way = 0;  // from stage i to stage j and back
    for (stage_id j : id_range<stage_id>(i, job.stages)) {
      ticks const f = cost.forward[j], b = cost.backward_input[j];
      bound = std::max(bound, trip + (load[j] - 1) * std::max(f, b) + input + weight);
      if (j > i) bound = std::max(bound, way + load[j] * (f + b) + weight);
      way += f + b + 2 * job.transfer;
    }
    if (auto const cap = job.stash_limit(i)) bound = std::max(bound, ceil_divide<ticks>(load[i], *cap) * (trip + input + weight));
    bounds.push_back(bound);
  }
  return bounds;
}

/// The least makespan of any plan.
[[nodiscard]] constexpr ticks makespan_bound(pipeline_job const& job) {
  auto const spans = span_bounds(job);
  ticks bound = 0, way = 0;
  for (stage_id s : ids<stage_id>(job.stages)) {
    bound = std::max(bound, way + spans[s]);
    way += job.costs.forward[s] + job.transfer;
  }
  return bound;
}

/// The least period of any plan whose step is staggered, or of any whose step isn't.
[[nodiscard]] constexpr ticks period_bound(pipeline_job const& job, bool staggered_step) {
  ticks bound = 0, step = 0;
  auto const spans = span_bounds(job);
  for (stage_id s : ids<stage_id>(job.stages)) {
    bound = std::max(bound, spans[s] + job.costs.step[s]);
    step = std::max(step, job.costs.step[s]);
  }
  return staggered_step ? bound : makespan_bound(job) + step;
}

}  // namespace shunt
