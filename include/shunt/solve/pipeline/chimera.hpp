#pragma once
/// Chimera: two pipelines over the same ranks, one from each end, so that each fills the other's
/// bubbles (Li and Hoefler, arXiv 2107.06925). Every rank holds two stages, one of each pipeline:
/// two replicas of the model.
///
/// Both pipelines run their micro-batches S/2 at a time; in time slots of one operation, where a
/// forward follows the one before it two slots behind, no two of their operations meet on a rank.
/// Such units of S micro-batches (S/2 a pipeline) follow each other every 2 S slots, the forwards
/// of one in the bubbles at the end of the one before (the paper's direct concatenation,
/// section 3.5). Of the last unit the micro-batches that aren't there are left out. Slots are one
/// length here; times are what the costs make of the order.
///
/// Bubble (S - 2) max(F, B) with equal stages and M = S/2 a pipeline; where F and B differ, every
/// further unit adds (S - 2) |F - B|, which the paper's forward doubling would avoid at twice the
/// stash. S stashed micro-batches on the middle ranks, S/2 + 1 on the outer ones. A pipeline pair
/// is Hanayo's two chunks on S/2 ranks, twice. Any M a pipeline, any even number D of pipelines,
/// pair by pair. Linear in the number of operations. For bidirectional layouts with an even number
/// of stages. No search and no re-routing: on a job with dead workers or a tighter cap the answer
/// is infeasible. Throws invalid_problem where the job is broken, has another layout or an odd
/// number of stages.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct chimera {
  static constexpr std::string_view name = "chimera";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout or an
  /// odd number of stages.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::bidirectional);
    require_even_stages(job, name);
    auto schedule = empty_schedule(job, 4 * static_cast<std::size_t>(job.microbatches) + 2);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id near : ids<stage_id>(job.stages / 2)) {
        stage_id const far =
            job.stages - 1 - near.value();  // of the other pipeline, on the same rank
        pipeline_id const other = p.value() % 2 == 0 ? p.value() + 1 : p.value() - 1;
        auto& list = schedule.order[job.rank_of({p, near})];
        detail::ride_waves(near.value(), job.stages / 2, 2, job.microbatches,
                           [&](std::int32_t k, std::int32_t m) {
                             bool const turned = k == 1 || k == 2;
                             list.push_back({k < 2 ? op_kind::forward : op_kind::backward,
                                             turned ? other : p, turned ? far : near, m});
                           });
        list.push_back({.kind = op_kind::step, .stage = near});
        list.push_back({.kind = op_kind::step, .stage = far});
      }
    return schedule;
  }

  /// (S - 2)(max(F, B) + (2 M / S - 1) |F - B|), B = I + W: how long every rank idles within the
  /// makespan. Equal stages, M a multiple of S/2, no transfer; for M = S/2 the paper's table 2, D -
  /// 2 of 2 N + D - 2 where F = B, and of 3 N / 2 + D - 2 where B = 2 F.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return detail::slotted_bubble(job, job.stages / 2);
  }
  /// min(S, 2 M), in the middle.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages, 2 * job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<chimera, pipeline_job>);

}  // namespace shunt
