#pragma once
/// Hanayo: every rank holds v chunks, and the stages run over the ranks there and back (v = 2 W for
/// W waves). A micro-batch turns round without a transfer, and its forward fills the gap before
/// another's backward. The model has one replica; the order is Chimera's, unrolled.
///
/// With equal stages, v > 1 and M = P the bubble is 2 (P - 1) max(F, B), F and B = I + W of a
/// chunk. Where F and B differ, every further group of P micro-batches adds 2 (P - 1) |F - B|. With
/// one chunk it is 1F1B. Takes wave layouts, also of odd v, and linear ones (v = 1); any M. Does
/// not search or re-route: on dead workers or a tighter cap the answer is infeasible. See
/// docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Liu et al., Hanayo, arXiv 2308.15762.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// Calls `visit(k, m)` for the k-th visit (0 .. 2 v - 1) of micro-batch m to place i of P, in the
/// order of their time slots.
template <class Visit>
constexpr void ride_waves(std::int32_t place, std::int32_t places, std::int32_t chunks,
                          std::int32_t microbatches, Visit visit) {
  struct stream {
    std::int32_t direction, group = 0, wave = 0, member = 0;
  };
  std::int32_t const groups = ceil_divide(microbatches, places);
  auto const advance = [&](stream& s) {
    std::int32_t const m = s.group * places + s.member;
    if (m < microbatches) visit(2 * s.wave + s.direction, m);
    if (++s.member < places) return;
    s.member = 0;
    if (++s.wave < chunks) return;
    s.wave = 0;
    ++s.group;
  };
  stream down{0}, up{1};
  for (std::int32_t n = 0; n < places - place; ++n) advance(down);
  while (up.group < groups) {
    advance(up);
    if (down.group < groups) advance(down);
  }
}

/// Returns the idle time of this order with groups of P micro-batches, where forwards and backwards
/// take F and B ticks.
SHUNT_CONSTEXPR ticks slotted_bubble(pipeline_job const& job, std::int32_t places);

}  // namespace detail

/// Solver for wave layouts: micro-batches go over the ranks there and back in waves.
struct hanayo {
  static constexpr std::string_view name = "hanayo";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not wave (or linear).
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not wave (or linear).
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: 2 (P - 1) (max(F,
  /// B) + (M / P - 1) |F - B|), with F and B = I + W of a chunk; (P - 1)(F + B) with one chunk.
  /// Requires equal stages, equal M, a multiple of P, and no transfer times.
  /// Reference: for M = P the paper's formula without communication.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak: v min(P, M) chunks, in units of a rank's stages as much as 1F1B.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<hanayo, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/hanayo.ipp"
#endif
