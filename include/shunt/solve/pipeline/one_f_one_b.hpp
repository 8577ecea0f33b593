#pragma once
/// 1F1B: after a warm-up every worker alternates one forward and one backward.
///
/// Stage s of S keeps S - s micro-batches in flight, or as many as the cap allows. With equal
/// stages and no cap below S - s the makespan is (M + S - 1)(F + B). Takes linear layouts. Does not
/// search or re-route: on a job with dead workers the answer is infeasible and its plan is only a
/// start for transforms.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: PipeDream-flush, Narayanan et al., arXiv 2006.09503.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for linear layouts: a warm-up, then one forward and one backward in turn.
struct one_f_one_b {
  static constexpr std::string_view name = "one_f_one_b";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not linear.
  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return evaluated(job, order(job));
  }

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not linear.
  /// Requires a valid job.
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

  /// Returns how long every rank idles within the makespan: (S - 1)(F + B), B = I + W.
  /// Requires equal stages, no transfer times and no cap.
  /// Reference: PipeDream-2BW, section 3.2.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return (job.stages - 1) * job.costs.microbatch(0);
  }
  /// Returns the stash peak, reached on the first rank: min(S, M) micro-batches.
  /// Requires a job without cap.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages, job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<one_f_one_b, pipeline_job>);

}  // namespace shunt
