#pragma once
/// Interleaved 1F1B with split backwards: ZB-H1 on v chunks a rank (PyTorch's
/// ScheduleInterleavedZeroBubble; Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241).
///
/// Groups of G micro-batches go round as in interleaved_one_f_one_b, but rank i of P warms up with
/// P - 1 - i + (v - 1) G forwards only and starts backward_weight i chunks late, so that every rank
/// stashes P + (v - 1) G chunks. Bubble (P - 1)(F + I - W) with equal stages, F, I, W of a chunk.
/// With one chunk it is zb_h1. Linear in the number of operations. For looped layouts (and linear
/// ones, v = 1). No search and no re-routing: on a job with dead workers or a tighter cap the
/// answer is infeasible. Throws invalid_problem where the job is broken, has another layout or
/// `group` is below P.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct interleaved_zero_bubble {
  static constexpr std::string_view name = "interleaved_zero_bubble";

  std::int32_t group =
      0;  ///< G, micro-batches that go round together, at least P; 0: as in interleaved_one_f_one_b

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout or a
  /// group of fewer than P.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::looped);
    return detail::interleave(job, group, 1, true);
  }

  /// (P - 1)(F + I - W), of a chunk: how long every rank idles within the makespan. Equal stages
  /// with W <= F and W <= I, M a multiple of P (with one chunk, M >= P), `group` 0, no transfer.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    auto const& c = job.costs;
    return (detail::loops(job).places - 1) *
           (c.forward[0] + c.backward_input[0] - c.backward_weight[0]);
  }
  /// min(P + (v - 1) G, v M) chunks: v P, as many as the micro-batches of 1F1B weigh, where P
  /// divides M. `group` 0, and a stash that backward_weight alone gives back.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    detail::loops const in(job);
    return std::min(in.places + (in.chunks - 1) * in.group_size, in.chunks * in.microbatches) *
           job.stash.forward[0];
  }
};
static_assert(solver_for<interleaved_zero_bubble, pipeline_job>);

}  // namespace shunt
