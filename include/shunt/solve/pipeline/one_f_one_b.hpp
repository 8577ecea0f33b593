#pragma once
/// 1F1B: after a warm-up every worker alternates one forward and one backward (PipeDream-flush,
/// Narayanan et al., arXiv 2006.09503).
///
/// Stage s of S keeps S - s micro-batches in flight, or as many as the cap allows. Makespan (M + S
/// - 1)(F + B) with equal stages and no cap below S - s. Linear in the number of operations. For
/// linear layouts. No search and no re-routing: on a job with dead workers the answer is infeasible
/// and the plan only a start for transforms. Throws invalid_problem where the job is broken or has
/// another layout.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct one_f_one_b {
  static constexpr std::string_view name = "one_f_one_b";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::linear);
    auto schedule = empty_schedule(job, 2 * static_cast<std::size_t>(job.microbatches) + 1);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        std::int32_t in_flight = std::min(job.stages - s.value(), job.microbatches);
        if (auto const cap = job.stash_limit(job.rank_of({p, s})))
          in_flight = static_cast<std::int32_t>(
              std::min<std::int64_t>(in_flight, *cap / job.stash.forward[s]));
        std::int32_t forward = 0;
        while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
          if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
          list.push_back({op_kind::backward, p, s, m});
        }
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return schedule;
  }

  /// (S - 1)(F + B), B = I + W: how long every rank idles within the makespan. Equal stages, no
  /// transfer, no cap; PipeDream-2BW, section 3.2.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return (job.stages - 1) * job.costs.microbatch(0);
  }
  /// min(S, M), on the first rank. No cap.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages, job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<one_f_one_b, pipeline_job>);

}  // namespace shunt
