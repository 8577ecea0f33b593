#pragma once
/// V-Half: two chunks a rank in a V, half the stash of 1F1B (Qi et al., Pipeline Parallelism with
/// Controllable Memory, arXiv 2405.15362, section 3).
///
/// A rank stashes up to P + 2 chunks, as much as P / 2 + 1 stages of a linear layout. Equal costs,
/// M >= 2P: makespan at most 6M + 3P - 7, and 1 more where P is odd. What equal costs leave open,
/// `effort` looks for, as in `zero_bubble`; a tighter cap of the job holds, too. Layout wave(2).
/// Infeasible with dead workers or a cap below one micro-batch. Throws invalid_problem where the
/// job is broken or has another layout.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

struct v_half {
  static constexpr std::string_view name = "v_half";

  bool stagger = false;  ///< the step may be staggered: the period counts instead of the makespan
  std::int64_t effort = 150'000;  ///< operations to place at most, over all runs, after the first

  /// Stashes on the fullest of P ranks, in chunks.
  [[nodiscard]] static constexpr std::int64_t stash_peak(std::int64_t ranks) { return ranks + 2; }
  /// The makespan is at most 6M and this, F = I = W = 1 for a chunk.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) {
    return std::max(ranks - 1, 3 * ranks - 7 + ranks % 2);
  }

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    require_layout(job, name, stage_layout::shape::wave, 2);
    using r = detail::recipe;
    return detail::planned_within(
        stash_peak(job.stages / 2), job, stagger, effort,
        {{r::light_weights, r::way_thrice, r::one_later, r::over_one_and_half, 3, r::until_weight},
         {r::light_weights, r::way_thrice, r::with_input, r::fit_half, 3, r::until_weight},
         {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 3, r::until_weight}});
  }
};
static_assert(solver_for<v_half, pipeline_job>);

}  // namespace shunt
