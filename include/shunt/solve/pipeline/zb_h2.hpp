#pragma once
/// ZB-H2: so many forwards ahead that no rank waits for the first gradient (Qi et al., Zero Bubble
/// Pipeline Parallelism, arXiv 2401.10241, section 2.2).
///
/// A rank stashes up to 2P - 1 micro-batches, nearly twice 1F1B's. Equal costs, M >= 2P - 1: no
/// bubble at all where the step is staggered; otherwise only what the forwards take to the last
/// rank, makespan 3M + P - 1. What equal costs leave open, `effort` looks for, as in `zero_bubble`;
/// a tighter cap of the job holds, too. Linear layouts. Infeasible with dead workers or a cap below
/// one micro-batch. Throws invalid_problem where the job is broken or has another layout.
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

struct zb_h2 {
  static constexpr std::string_view name = "zb_h2";

  bool stagger = false;  ///< the step may be staggered: the period counts instead of the makespan
  std::int64_t effort = 1'000'000;  ///< operations to place at most, over all runs, after the first

  /// Stashes on the fullest of P ranks, whole ones.
  [[nodiscard]] static constexpr std::int64_t stash_peak(std::int64_t ranks) {
    return 2 * ranks - 1;
  }
  /// Idle ticks of a rank from its first start to the end of all, F = I = W = 1; none where the
  /// step is staggered.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) { return ranks - 1; }

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    require_layout(job, name, stage_layout::shape::linear, 1);
    using r = detail::recipe;
    return detail::planned_within(stash_peak(job.stages), job, stagger, effort,
                                  {{},
                                   {r::true_costs, r::inputs, r::last, r::fill, 1},
                                   {r::true_costs, r::inputs, r::last, r::fill_more, 1}});
  }
};
static_assert(solver_for<zb_h2, pipeline_job>);

}  // namespace shunt
