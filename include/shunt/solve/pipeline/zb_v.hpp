#pragma once
/// ZB-V: two chunks a rank, there and back in a V, no bubble with the stash of 1F1B (Qi et al.,
/// Pipeline Parallelism with Controllable Memory, arXiv 2405.15362, section 3; Zero Bubble Pipeline
/// Parallelism, arXiv 2401.10241, section 6).
///
/// A rank stashes up to 2P chunks, as much as P stages of a linear layout. Equal costs, M >= 2P: no
/// bubble at all where the step is staggered; otherwise only what the forwards take to the last
/// rank, makespan 6M + P - 1. What equal costs leave open, `effort` looks for, as in `zero_bubble`;
/// a tighter cap of the job holds, too. Layout wave(2). Infeasible with dead workers or a cap below
/// one micro-batch. Throws invalid_problem where the job is broken or has another layout.
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

struct zb_v {
  static constexpr std::string_view name = "zb_v";

  bool stagger = false;  ///< the step may be staggered: the period counts instead of the makespan
  std::int64_t effort = 1'000'000;  ///< operations to place at most, over all runs, after the first

  /// Stashes on the fullest of P ranks, in chunks.
  [[nodiscard]] static constexpr std::int64_t stash_peak(std::int64_t ranks) { return 2 * ranks; }
  /// Idle ticks of a rank from its first start to the end of all, F = I = W = 1 for a chunk; none
  /// where the step is staggered.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) { return ranks - 1; }

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    require_layout(job, name, stage_layout::shape::wave, 2);
    using r = detail::recipe;
    std::vector<r> known{{},
                         {r::equal_costs, r::way_thrice, r::two_later, r::unlimited, 1},
                         {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2},
                         {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 2},
                         {r::light_weights, r::half_block_back, r::with_input, r::unlimited, 1}};
    if (stagger) known[1] = {r::equal_costs, r::way_thrice, r::half_later, r::unlimited, 2};
    return detail::planned_within(stash_peak(job.stages / 2), job, stagger, effort, known);
  }
};
static_assert(solver_for<zb_v, pipeline_job>);

}  // namespace shunt
