#pragma once
/// ZB-H1: 1F1B with split backwards. The input gradient is passed on at once; the parameters'
/// gradient fills the bubbles.
///
/// Stage s starts backward_weight s micro-batches late. So every stage stashes S micro-batches, the
/// peak of 1F1B on its first stage. Under a tighter cap the delay is smaller. With equal stages the
/// bubble is (S - 1)(F + I - W). Takes linear layouts. Does not search or re-route: on a job with
/// dead workers the answer is infeasible and its plan is only a start for transforms.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 2.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for linear layouts: 1F1B with split and delayed backwards.
struct zb_h1 {
  static constexpr std::string_view name = "zb_h1";

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
    auto schedule = empty_schedule(job, 3 * static_cast<std::size_t>(job.microbatches) + 1);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        std::int32_t cap = job.stages;
        if (auto const limit = job.stash_limit(job.rank_of({p, s})))
          cap =
              static_cast<std::int32_t>(std::min<std::int64_t>(cap, *limit / job.stash.forward[s]));
        std::int32_t const in_flight = std::min({job.stages - s.value(), job.microbatches, cap});
        std::int32_t const late = std::min(s.value(), cap - in_flight);
        std::int32_t forward = 0, weight = 0;
        while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
          if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
          list.push_back({op_kind::backward_input, p, s, m});
          if (m.value() - late >= weight)
            list.push_back({op_kind::backward_weight, p, s, weight++});
        }
        while (weight < job.microbatches)
          list.push_back({op_kind::backward_weight, p, s, weight++});
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return schedule;
  }

  /// Returns how long every rank idles within the makespan: (S - 1)(F + I - W) + max(0, S - M) W.
  /// Requires equal stages with W <= F and W <= I, no transfer times and no cap.
  /// Reference: for M >= S the paper's section 2, where B stands for I.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    auto const& c = job.costs;
    return (job.stages - 1) * (c.forward[0] + c.backward_input[0] - c.backward_weight[0]) +
           std::max(0, job.stages - job.microbatches) * c.backward_weight[0];
  }
  /// Returns the stash peak of every rank: min(S, M) micro-batches.
  /// Requires a job without cap, and a stash that only backward_weight gives back.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages, job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<zb_h1, pipeline_job>);

}  // namespace shunt
