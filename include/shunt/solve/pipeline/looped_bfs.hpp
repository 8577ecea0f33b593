#pragma once
/// Looped breadth-first: GPipe on v chunks a rank. All micro-batches pass one chunk before the
/// next, so that a chunk's parameters are needed in one stretch.
///
/// With equal stages and M >= P the bubble is (P - 1)(F + B), F and B of a chunk: 1/v of GPipe's.
/// Every rank stashes v M chunks. Takes looped layouts, and linear ones (GPipe). Does not search or
/// re-route: on a job with dead workers or a tighter cap the answer is infeasible.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Lamy-Poirier, Breadth-First Pipeline Parallelism, arXiv 2211.05953.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for looped layouts: all micro-batches pass one chunk before the next.
struct looped_bfs {
  static constexpr std::string_view name = "looped_bfs";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not looped (or linear).
  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return evaluated(job, order(job));
  }

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not looped (or linear).
  /// Requires a valid job.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::looped);
    std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
    auto schedule = empty_schedule(job, static_cast<std::size_t>(chunks) *
                                            (2 * static_cast<std::size_t>(job.microbatches) + 1));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (std::int32_t place = 0; place < places; ++place) {
        auto& list = schedule.order[job.rank_of({p, place})];
        for (stage_id s = place; s < job.stages; s = s.value() + places)
          for (microbatch_id m : ids<microbatch_id>(job.microbatches))
            list.push_back({op_kind::forward, p, s, m});
        for (stage_id s = job.stages - places + place; s >= 0; s = s.value() - places)
          for (microbatch_id m : ids<microbatch_id>(job.microbatches))
            list.push_back({op_kind::backward, p, s, m});
        for (stage_id s = place; s < job.stages; s = s.value() + places)
          list.push_back({.kind = op_kind::step, .stage = s});
      }
    return schedule;
  }

  /// Returns how long every rank idles within the makespan: (P - 1 + (v - 1) max(0,
  /// P - M)) (F + B), with F and B = I + W of a chunk. For M >= P this is the paper's formula.
  /// Requires equal stages and no transfer times.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
    return (places - 1 + (chunks - 1) * std::max(0, places - job.microbatches)) *
           job.costs.microbatch(0);
  }
  /// Returns the stash peak of every rank: v M chunks.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::int64_t{job.layout.chunks()} * job.microbatches * job.stash.forward[0];
  }
};
static_assert(solver_for<looped_bfs, pipeline_job>);

}  // namespace shunt
