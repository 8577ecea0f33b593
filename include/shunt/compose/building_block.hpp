#pragma once
/// Building blocks: the operations of one micro-batch, repeated every T ticks for the next one.
///
/// A block gives the starts of F_s, I_s (backward_input) and W_s (backward_weight) of micro-batch
/// 0; micro-batch m starts m T later. T is possible where no two operations of a rank overlap
/// modulo T. A stash lives from F_s to W_s. In the steady state a rank holds at most the largest,
/// over its forwards at t, of the sum over its stages s, weighted by the job's stash weights, of
///     #{m : F_s + m T <= t} - #{m : W_s + m T < t}
/// Complexity: O(n log n) a check of one T, for the n operations of a micro-batch.
/// Reference: Qi et al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362, sec. 3.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "shunt/compose/detail/block_placement.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Starts of a stage's three operations of micro-batch 0, in ticks.
struct block_offsets {
  ticks forward = 0;
  ticks backward_input = 0;
  ticks backward_weight = 0;
  bool operator==(block_offsets const&) const = default;
};

/// The operations of one micro-batch, repeated with a period for the next ones.
struct building_block {
  /// One entry a stage, the same for all pipelines; or one a worker, pipeline by pipeline, where
  /// pipelines share ranks.
  std::vector<block_offsets> stages{};

  [[nodiscard]] block_offsets const& of(worker w, std::int32_t stages_of_job) const {
    bool const alike = stages.size() == static_cast<std::size_t>(stages_of_job);
    return stages[w.stage.index() +
                  (alike ? 0 : w.pipeline.index() * static_cast<std::size_t>(stages_of_job))];
  }
  bool operator==(building_block const&) const = default;
};

namespace detail {

/// Returns the operations of micro-batch 0 of all pipelines, by rank.
[[nodiscard]] inline indexed<rank_id, std::vector<placed>> placed_on_ranks(
    pipeline_job const& job, shunt::building_block const& block) {
  indexed<rank_id, std::vector<placed>> ranks(static_cast<std::size_t>(job.ranks()));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const& at = block.of({p, s}, job.stages);
      auto& own = ranks[job.rank_of({p, s})];
      for (auto const& [kind, start] : {std::pair{op_kind::forward, at.forward},
                                        std::pair{op_kind::backward_input, at.backward_input},
                                        std::pair{op_kind::backward_weight, at.backward_weight}})
        own.push_back({start, cost_of(job, {.kind = kind, .stage = s}), {kind, p, s, 0}});
    }
  return ranks;
}

}  // namespace detail

/// Throws invalid_problem, which names the entry, where a block does not fit the job: another
/// number of entries, a start before 0, or an operation that starts before its input is available.
inline void validate(pipeline_job const& job, building_block const& block) {
  validate(job);
  if (block.stages.size() != static_cast<std::size_t>(job.stages) &&
      block.stages.size() != static_cast<std::size_t>(job.workers()))
    throw invalid_problem("block", "has " + std::to_string(block.stages.size()) + " entries for " +
                                       std::to_string(job.stages) + " stages");
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto const& at = block.of({p, s}, job.stages);
      auto const not_before = [&](char const* what, ticks start, ticks least) {
        if (start < least)
          throw invalid_problem("block[" + std::to_string(s.value()) + "]." + what,
                                "starts at " + std::to_string(start) +
                                    ", what it needs is there at " + std::to_string(least));
      };
      auto const from = [&](std::int32_t other) {
        return job.transfer(job.rank_of({p, other}), job.rank_of({p, s}));
      };
      ticks const forward_end = at.forward + job.costs.forward[s];
      ticks input = 0, gradient = forward_end;
      if (s > 0)
        input = block.of({p, s.value() - 1}, job.stages).forward +
                job.costs.forward[s.value() - 1] + from(s.value() - 1);
      if (s.value() + 1 < job.stages) {
        auto const& next = block.of({p, s.value() + 1}, job.stages);
        gradient =
            std::max(gradient, next.backward_input + job.costs.backward_input[s.value() + 1] +
                                   from(s.value() + 1));
      }
      not_before("forward", at.forward, input);
      not_before("backward_input", at.backward_input, gradient);
      not_before("backward_weight", at.backward_weight,
                 at.backward_input + job.costs.backward_input[s]);
    }
}

/// Returns the least possible period among multiples of the common divisor of the block's times, so
/// that blocks can be scaled.
/// Throws invalid_problem where the block does not fit the job, or where two operations overlap on
/// their rank at every period.
[[nodiscard]] inline ticks least_period(pipeline_job const& job, building_block const& block) {
  validate(job, block);
  ticks period = detail::busiest_rank(job);
  auto const ranks = detail::placed_on_ranks(job, block);
  ticks unit = 0;
  for (auto const& own : ranks)
    for (auto const& o : own) unit = std::gcd(std::gcd(unit, o.start), o.length);
  for (bool again = true; again;) {
    again = false;
    for (auto const& own : ranks)
      while (auto const next = detail::collision(own, period)) {
        if (*next <= period)
          throw invalid_problem("block",
                                "two operations overlap on their rank, whatever the period");
        period = ceil_divide(*next, unit) * unit;
        again = true;
      }
  }
  return period;
}

/// Returns the largest stash of each rank in the steady state, in the units of the job's stash
/// weights. No number of micro-batches exceeds it.
[[nodiscard]] inline indexed<rank_id, std::int64_t> block_peak(pipeline_job const& job,
                                                               building_block const& block,
                                                               ticks period) {
  auto const ranks = detail::placed_on_ranks(job, block);
  // Number of micro-batches, counted from minus infinity, whose operation has started at `now`.
  // Only differences are meaningful.
  auto const started = [&](ticks start, ticks now) {
    ticks const distance = now - start;
    return (distance >= 0 ? distance : distance - period + 1) / period;
  };
  indexed<rank_id, std::int64_t> peak(ranks.size(), 0);
  for (rank_id r : ids<rank_id>(ranks.size()))
    for (auto const& here : ranks[r]) {
      if (here.op.kind != op_kind::forward) continue;
      std::int64_t held = 0;
      for (auto const& o : ranks[r]) {
        auto const whole = job.stash.forward[o.op.stage],
                   early = job.stash.backward_input[o.op.stage];
        if (o.op.kind == op_kind::forward) held += whole * started(o.start, here.start);
        if (o.op.kind == op_kind::backward_input) held -= early * started(o.start, here.start - 1);
        if (o.op.kind == op_kind::backward_weight)
          held -= (whole - early) * started(o.start, here.start - 1);
      }
      peak[r] = std::max(peak[r], held);
    }
  return peak;
}

}  // namespace shunt
