#pragma once
/// DualPipe: two pipelines over the same ranks, one from each end; their forwards and backwards
/// overlap in pairs.
///
/// Every rank holds a near stage, h = 0 .. S/2 - 1 stages from the entrance of its pipeline, and a
/// far stage, h from the exit of the other. Pairs are marked where overlap_gain is positive. With
/// F = I in all stages the bubble is (S/2 - 1)(F&B + B - 3 W), F&B the time of a pair. A rank
/// stashes S + 1 micro-batches and holds twice the parameters. Takes bidirectional layouts with an
/// even number of stages, D pipelines pair by pair, M each, the same M in both of a pair. Does not
/// search or re-route: on dead workers or a tighter cap the answer is infeasible. The order:
/// docs/pipeline-solvers.md. Throws invalid_problem where the job is broken, has another layout, an
/// odd number of stages or a pair with different M. Complexity: linear in the number of operations.
/// Reference: arXiv 2412.19437, section 3.2.1; github.com/deepseek-ai/DualPipe.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// Builds the list of one rank of a dual pipe, without its steps. Index 0 is the near worker, 1 the
/// far one. See docs/pipeline-solvers.md.
class dual_pipe_rank {
 public:
  /// Appends to `list`. Marks pairs in `pairs`, unless it is null.
  constexpr dual_pipe_rank(std::array<worker, 2> workers, std::int32_t microbatches,
                           std::vector<operation>& list, std::vector<std::int32_t>* pairs)
      : workers_(workers), there_(microbatches), list_(list), pairs_(pairs) {}

  /// Appends all operations of the rank at place h = `place` of H = `places`.
  SHUNT_CONSTEXPR void fill(std::int32_t place, std::int32_t places);

 private:
  static constexpr std::size_t near = 0, far = 1;

  SHUNT_CONSTEXPR bool forward(std::size_t direction);
  SHUNT_CONSTEXPR bool backward(std::size_t direction, bool split);
  /// Appends a forward of this worker and a backward of the other one, as a pair.
  SHUNT_CONSTEXPR void pair(std::size_t direction);
  SHUNT_CONSTEXPR void weight();
  SHUNT_CONSTEXPR bool add(op_kind kind, std::size_t direction, std::int32_t m);

  std::array<worker, 2> workers_;
  std::int32_t there_;  // micro-batches
  std::vector<operation>& list_;
  std::vector<std::int32_t>* pairs_;
  std::array<std::int32_t, 2> forwards_{}, backwards_{};
  std::vector<operation> late_{};  // one backward_weight per split backward
  std::size_t next_late_ = 0;
};

/// Returns the lists of all ranks. `workers(p, h)` returns the near and the far worker of the rank
/// that holds stage h < S/2 of pipeline p.
template <class Workers>
SHUNT_CONSTEXPR pipeline_schedule dual_pipe_order(pipeline_job const& job, Workers workers) {
  std::int32_t const places = job.stages / 2;
  // at most S - 1 backwards are split
  auto const all = 4 * static_cast<std::size_t>(job.microbatches.most()) + 2;
  auto schedule = empty_schedule(job, all + std::min(static_cast<std::size_t>(job.stages), all));
  bool const paired = job.costs.overlap_gain > 0;
  if (paired) schedule.overlapped.resize(schedule.order.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t place = 0; place < places; ++place) {
      rank_id const r = job.rank_of({p, place});
      std::array<worker, 2> const held = workers(p, place);
      auto* const pairs = paired ? &schedule.overlapped[r] : nullptr;
      if (paired) pairs->reserve(2 * static_cast<std::size_t>(job.microbatches[p]));
      dual_pipe_rank(held, job.microbatches[p], schedule.order[r], pairs).fill(place, places);
      for (worker const& w : held)
        schedule.order[r].push_back({.kind = op_kind::step, .stage = w.stage});
    }
  return schedule;
}

/// Returns how long the busiest of H places idles: a fixed time for each of the other H - 1 places.
SHUNT_CONSTEXPR ticks dual_pipe_bubble(pipeline_job const& job);

}  // namespace detail

/// Solver for bidirectional layouts: two opposite pipelines with overlapped pairs.
struct dual_pipe {
  static constexpr std::string_view name = "dual_pipe";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken, the layout is not bidirectional, the number of
  /// stages is odd or the pipelines of a pair have different numbers of micro-batches.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not bidirectional, the number of stages is odd or
  /// the pipelines of a pair have different numbers of micro-batches.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long the middle ranks, which idle most, idle within the makespan:
  /// (S/2 - 1)(F&B + F - 2 W), with F&B = F + I + W - overlap_gain. Where F = I this is
  /// (S/2 - 1)(F&B + B - 3 W), B = I + W. Without a gain nothing is paired:
  /// (S/2 - 1)(F - W + max(I, F - W)).
  /// Requires equal stages with W <= I <= F, equal M >= S and no transfer times.
  /// Reference: DeepSeek-V3 technical report, table 2.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak, for M >= S that of every rank: min(S + 1, 2 M) micro-batches.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<dual_pipe, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/dual_pipe.ipp"
#endif
