#pragma once
/// Interleaved 1F1B: every rank holds v chunks of the model. The v times finer stages go round the
/// ranks, so that warm-up and cool-down take 1/v of the time.
///
/// Micro-batches go in groups of G, chunk by chunk. With equal stages the bubble is (P - 1)(F + B),
/// F and B of a chunk: 1/v of 1F1B's. The first rank stashes 2 (P - 1) + (v - 1) G + 1 chunks.
/// Takes looped layouts, and linear ones (v = 1). Does not search or re-route: on a job with dead
/// workers or a tighter cap the answer is infeasible. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken, has another layout or `group` is below P.
/// Complexity: linear in the number of operations.
/// Reference: Narayanan et al., Efficient Large-Scale Language Model Training, arXiv 2104.04473,
/// section 2.2.
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// How a pipeline of a looped layout goes round: chunk c of the rank at its place i is stage c P +
/// i.
struct loops {
  std::int32_t places, chunks, microbatches, groups = 1, group_size = 1;
  bool even = true;

  SHUNT_CONSTEXPR explicit loops(pipeline_job const& job, std::int32_t group = 0,
                                 pipeline_id p = 0);

  struct item {
    std::int32_t chunk, microbatch;
  };
  /// Returns the chunks of all micro-batches in the order of their forwards; backwards mirror the
  /// chunks. A missing micro-batch has the number `microbatches`.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<item> sequence() const;
};

/// Builds the order of every rank: the warm-up's forwards, then one forward and one backward in
/// turn, then the remaining backwards. The warm-up of place i has `per_hop` (P - 1 - i) + (v - 1) G
/// forwards. With `split` backwards are split, and the rank at place i starts backward_weight i
/// chunks late.
/// Throws invalid_problem, naming `group`, where it is neither 0 nor at least P.
SHUNT_CONSTEXPR pipeline_schedule interleave(pipeline_job const& job, std::int32_t group,
                                             std::int32_t per_hop, bool split);

}  // namespace detail

/// Solver for looped layouts: 1F1B on v chunks a rank.
struct interleaved_one_f_one_b {
  static constexpr std::string_view name = "interleaved_one_f_one_b";

  /// G, micro-batches that go round together, at least P; 0: chosen for the shortest makespan
  std::int32_t group = 0;

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not looped (or linear), or
  /// where `group` is neither 0 nor at least P.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not looped (or linear), or where `group` is neither
  /// 0 nor at least P.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (P - 1 + (v - 1) max(0,
  /// P - M)) (F + B), with F and B = I + W of a chunk.
  /// Requires equal stages, no transfer times and `group` 0; any M, equal in all pipelines.
  /// Reference: for M >= P the paper's section 2.2.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak, reached on the first rank: min(2 (P - 1) + (v - 1) G + 1, v M) chunks;
  /// min(P, M) for v = 1.
  /// Requires `group` 0 and equal M.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<interleaved_one_f_one_b, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/interleaved_one_f_one_b.ipp"
#endif
