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
#include "shunt/measure/columns.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The least that a message of a micro-batch takes from stage s to s + 1, or back: over the live ranks that may compute it there and here.
[[nodiscard]] constexpr ticks least_transfer(pipeline_job const& job, stage_id s) {
  ticks const within = job.transfer.within_node, between = job.transfer.between_nodes;
  if (within == 0 && between == 0) return 0;
  bool const together = job.layout.form() != stage_layout::shape::linear;  // two stages may share a rank
  if (!together && (within == between || job.transfer.ranks_per_node == 0)) return within;
  ticks least = std::max(within, between);
  auto const here = job.live_holders(s), there = job.live_holders(s.value() + 1);
  std::size_t next = 0;  // both ascend, and so do nodes
  for (rank_id const a : here) {
    std::int32_t const nodes = std::max(1, job.transfer.ranks_per_node);
    while (next < there.size() && there[next].value() / nodes < a.value() / nodes) ++next;
    for (std::size_t i = next; i < there.size() && (i == next || there[i].value() / nodes == a.value() / nodes); ++i)
      least = std::min(least, job.transfer(a, there[i]));
  }
  return least;
}

namespace detail {

/// The least times between stages: F, I, c and what follows from them.
struct stage_paths {
  std::vector<ticks> way{};   ///< [s]: from the start of an iteration to the first input of stage s
  std::vector<ticks> tail{};  ///< [s]: sum over k > s of F_k + I_k + 2 c_{k-1}: from the end of a forward at s to its gradient's arrival

  constexpr explicit stage_paths(pipeline_job const& job) : way(static_cast<std::size_t>(job.stages), 0), tail(way) {
    for (std::size_t s = way.size(); s-- > 1;) {
      auto const at = static_cast<std::int32_t>(s);
      ticks const c = least_transfer(job, at - 1);
      tail[s - 1] = tail[s] + job.costs.forward[at] + job.costs.backward_input[at] + 2 * c;
      way[s] = c;
    }
    for (std::size_t s = 1; s < way.size(); ++s) way[s] += way[s - 1] + job.costs.forward[static_cast<std::int32_t>(s) - 1];
  }
};

}  // namespace detail

/// The least time from the earliest start to the latest end of each stage over its live ranks, whatever the plan.
[[nodiscard]] constexpr indexed<stage_id, ticks> span_bounds(pipeline_job const& job) {
  auto const& cost = job.costs;
  indexed<stage_id, ticks> bounds, load;
  std::vector<std::int64_t> live(static_cast<std::size_t>(job.stages), 0);
  columns const in(job);
  for (column const& c : in.all)
    for (stage_id s : c.stages) live[s.index()] += static_cast<std::int64_t>(c.live.size());
  for (stage_id s : ids<stage_id>(job.stages))
    load.push_back(ceil_divide<std::int64_t>(job.microbatches_in_all(), std::max<std::int64_t>(1, live[s.index()])));
  detail::stage_paths const paths(job);
  for (stage_id i : ids<stage_id>(job.stages)) {
    ticks const forward = cost.forward[i], input = cost.backward_input[i], weight = cost.backward_weight[i];
    ticks const trip = forward + paths.tail[i.index()];
    ticks const gain = std::min({cost.overlap_gain, forward, input + weight});
    ticks bound = std::max(load[i] * (forward + input + weight - gain), trip + load[i] * (input + weight));
    for (stage_id j : id_range<stage_id>(i, job.stages)) {
      ticks const f = cost.forward[j], b = cost.backward_input[j];
      bound = std::max(bound, trip + (load[j] - 1) * std::max(f, b) + input + weight);
      ticks const there_and_back = forward + paths.tail[i.index()] - cost.forward[j] - paths.tail[j.index()] + input;
      ticks const overlapped = std::min({cost.overlap_gain, f, b + cost.backward_weight[j]});
      if (j > i) bound = std::max(bound, there_and_back - b + load[j] * (f + b - overlapped) + weight);
    }
    if (job.memory.rule != stash_cap::kind::none) {
      std::int64_t most = 1;  // micro-batches that a rank of this stage can hold at once
      for (rank_id r : job.live_holders(i)) most = std::max(most, *job.stash_limit(r) / job.stash.forward[i]);
      if (job.stash.backward_input[i] == 0) bound = std::max(bound, ceil_divide<ticks>(load[i], most) * (trip + input + weight));
    }
    bounds.push_back(bound);
  }
  return bounds;
}

/// The same for the columns of a job: besides what its stages take by themselves, the work of all of them,
///
///     sum_t N (F_t + I_t + W_t) / ranks,                          and until the first gradient comes to the last of its stages, b, from the
///     trip(first stage .. S-1 .. b) + sum_t N (I_t + W_t) / ranks     first forward on, only forwards run.
/// With steps: until all of its steps have ended as well. A step may fill the time in which another stage of its rank waits.
[[nodiscard]] constexpr std::vector<ticks> column_bounds(pipeline_job const& job, columns const& in, bool with_steps) {
  auto const spans = span_bounds(job);
  detail::stage_paths const paths(job);
  std::vector<ticks> bounds;
  std::vector<std::int32_t> holding(static_cast<std::size_t>(job.stages), 0);  // columns that hold a stage
  for (column const& c : in.all)
    if (!c.live.empty())
      for (stage_id s : c.stages) ++holding[s.index()];
  for (column const& c : in.all) {
    ticks bound = 0, gradients = 0, work = 0, steps = 0;
    bool whole = true;  // nobody else can take work of these stages
    for (stage_id s : c.stages) {
      ticks const step = with_steps ? job.costs.step[s] : 0;
      steps += step;
      if (holding[s.index()] <= 1) bound = std::max(bound, spans[s] + step);
      whole = whole && holding[s.index()] <= 1;
      ticks const backward = job.costs.backward_input[s] + job.costs.backward_weight[s];
      gradients += job.microbatches_in_all() * backward;
      work += job.microbatches_in_all() * (job.costs.forward[s] + backward - std::min(job.costs.overlap_gain, job.costs.forward[s]));
    }
    if (whole && c.stages.size() > 1 && !c.live.empty()) {
      auto const ranks = static_cast<std::int64_t>(c.live.size());
      stage_id const first = c.stages.front(), last = c.stages.back();
      ticks const turn = paths.way.back() + job.costs.forward[job.stages - 1] - paths.way[first.index()] +  // F of first .. S-1
                         paths.tail[last.index()] - (paths.way.back() + job.costs.forward[job.stages - 1] - paths.way[last.index()] - job.costs.forward[last]);
      bound = std::max({bound, ceil_divide<ticks>(work, ranks) + steps, turn + ceil_divide<ticks>(gradients, ranks) + steps});
    }
    bounds.push_back(bound);
  }
  return bounds;
}

/// The least makespan of any plan.
[[nodiscard]] constexpr ticks makespan_bound(pipeline_job const& job) {
  columns const in(job);
  auto const spans = span_bounds(job);
  auto const whole = column_bounds(job, in, false);
  detail::stage_paths const paths(job);
  ticks bound = 0;
  for (stage_id s : ids<stage_id>(job.stages)) bound = std::max(bound, paths.way[s.index()] + spans[s]);
  for (std::size_t c = 0; c < in.all.size(); ++c) bound = std::max(bound, paths.way[in.all[c].stages.front().index()] + whole[c]);
  return bound;
}

/// The least period of any plan whose step is staggered, or of any whose step isn't.
[[nodiscard]] constexpr ticks period_bound(pipeline_job const& job, bool staggered_step) {
  columns const in(job);
  auto const whole = column_bounds(job, in, true);
  ticks bound = 0, longest = 0;
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    ticks steps = 0;
    for (stage_id s : in.all[c].stages) steps += job.costs.step[s];
    bound = std::max(bound, whole[c]);
    longest = std::max(longest, steps);
  }
  return staggered_step ? bound : makespan_bound(job) + longest;
}

}  // namespace shunt
