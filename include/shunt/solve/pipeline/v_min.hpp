#pragma once
/// V-Min: two chunks a rank in a V, the least stash: a third of 1F1B's (Qi et al., Pipeline
/// Parallelism with Controllable Memory, arXiv 2405.15362, section 3).
///
/// The building block that goes from seat to seat without a slot's delay. A rank stashes up to 2
/// floor(P / 3) + 2 chunks, 2 more where P mod 3 = 2; in stages of a linear layout half of that.
/// Equal costs, M >= 2P: makespan 6M + 4P - 5, where P mod 3 is 0 or 2 with 2 or 4 less. What equal
/// costs leave open, `effort` looks for, as in `zero_bubble`; a tighter cap of the job holds, too.
/// Layout wave(2). Infeasible with dead workers or a cap below one micro-batch. Throws
/// invalid_problem where the job is broken or has another layout.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

struct v_min {
  static constexpr std::string_view name = "v_min";

  bool stagger = false;  ///< the step may be staggered: the period counts instead of the makespan
  std::int64_t effort = 150'000;  ///< operations to place at most, over all runs, after the first

  /// Stashes on the fullest of P ranks, in chunks.
  [[nodiscard]] static constexpr std::int64_t stash_peak(std::int64_t ranks) {
    return 2 * (ranks / 3 + (ranks % 3 == 2 ? 2 : 1));
  }
  /// The makespan is 6M and this, F = I = W = 1 for a chunk.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) {
    return std::max(ranks - 1, 4 * ranks - 5 - (ranks % 3 == 0 ? 2 : ranks % 3 == 2 ? 4 : 0));
  }

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    require_layout(job, name, stage_layout::shape::wave, 2);
    using r = detail::recipe;
    auto const first = job.stages / 2 % 3 == 1 ? r::shortest_block : r::late_turn_block;
    auto const second = first == r::shortest_block ? r::late_turn_block : r::shortest_block;
    return detail::planned_within(
        stash_peak(job.stages / 2), job, stagger, effort,
        {{r::equal_costs, first, r::last, r::by_block, 4, r::until_weight},
         {r::equal_costs, second, r::last, r::by_block, 4, r::until_weight}});
  }
};
static_assert(solver_for<v_min, pipeline_job>);

}  // namespace shunt
