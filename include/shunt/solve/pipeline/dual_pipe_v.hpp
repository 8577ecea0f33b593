#pragma once
/// DualPipeV: DualPipe cut in half, so that there is one replica of the model: S stages on S/2
/// ranks, there and back, each rank the far end of its own near end (Sea AI Lab, "Cut-in-half";
/// github.com/deepseek-ai/DualPipe).
///
/// Rank h of P = S/2 has the list that DualPipe's rank h of S has, its stage S - 1 - h standing for
/// the other pipeline's; see dual_pipe.hpp. Bubble (P - 1)(F&B + B - 3 W) where F = I in all
/// stages, F, B, W those of a chunk. 2 P + 1 stashed chunks. Any M (for M < S the order for M = S
/// without the missing micro-batches); linear in the number of operations. For wave layouts of two
/// chunks. No search and no re-routing: on a job with dead workers or a tighter cap the answer is
/// infeasible. Throws invalid_problem where the job is broken or has another layout.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct dual_pipe_v {
  static constexpr std::string_view name = "dual_pipe_v";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::wave, 2);
    return detail::dual_pipe_order(job, [&](pipeline_id p, std::int32_t place) {
      return std::array<worker, 2>{{{p, place}, {p, job.stages - 1 - place}}};
    });
  }

  /// (P - 1)(F&B + F - 2 W), of a chunk, and without a gain (P - 1)(F - W + max(I, F - W)): how
  /// long the last rank, which idles most, idles within the makespan. As dual_pipe's with P = S/2:
  /// equal stages with W <= I <= F, M >= S, no transfer.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return detail::dual_pipe_bubble(job);
  }
  /// min(2 P + 1, 2 M) chunks, where M >= S on every rank.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return std::min(job.stages + 1, 2 * job.microbatches) * job.stash.forward[0];
  }
};
static_assert(solver_for<dual_pipe_v, pipeline_job>);

}  // namespace shunt
