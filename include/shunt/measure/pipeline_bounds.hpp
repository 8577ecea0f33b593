#pragma once
/// Lower bounds that hold for every plan of a pipeline job: SlipStream's load and path bounds,
/// extended to unequal costs, stash caps and stages with fewer live ranks than their neighbours.
/// D pipelines, S stages, M micro-batches per pipeline, N = D M. Per stage: F, I, W the ticks of
/// forward, backward_input and backward_weight, L the live ranks, c the transfer, K the
/// micro-batches that a rank can stash. A stage without a live rank counts as having one. Where
/// workers or micro-batches differ, F, I, W are the least of a stage's live ranks and of any
/// length, and the work of a stage is bounded besides by what each rank can do at its own pace.
/// Complexity: O(N S log T).
/// Reference: SlipStream, arXiv 2405.14009.
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Returns the least ticks that a message of a micro-batch takes between stages s and s + 1, over
/// the live ranks that may compute them.
[[nodiscard]] SHUNT_CONSTEXPR ticks least_transfer(pipeline_job const& job, stage_id s);

namespace detail {

/// Returns the lengths of the shortest and of the longest micro-batch.
[[nodiscard]] SHUNT_CONSTEXPR std::pair<std::int64_t, std::int64_t> lengths_of(
    pipeline_job const& job);

/// Returns the least costs of each stage over its live ranks, of a micro-batch of this length.
[[nodiscard]] SHUNT_CONSTEXPR stage_costs least_costs(pipeline_job const& job, std::int64_t length);

/// The least times between stages, from F, I and c.
struct stage_paths {
  std::vector<ticks> way{};  ///< [s]: from the start of an iteration to the first input of stage s
  /// [s]: from the end of a forward at s to the arrival of its gradient, sum over k > s of F_k +
  /// I_k + 2 c_{k-1}.
  std::vector<ticks> tail{};

  SHUNT_CONSTEXPR explicit stage_paths(pipeline_job const& job);
};

}  // namespace detail

/// Returns for each stage the least ticks from its earliest start to its latest end over its live
/// ranks, for every plan.
/// Times count from the earliest forward of stage i. The (m+1)-th input gradient to arrive at stage
/// i arrives no earlier than G_i(m) and is finished no earlier than B_i(m):
///
///     G_i(m) = max((m / L_i + 1) F_i + tail_i,       some rank has run as many forwards
///                  F_i + c + B_{i+1}(m) + c)         the next stage has finished as many
///     B_i(m) = max(G_i(m) + I_i,
///                  B_i(m - L_i) + I_i,               at most L_i of them run at once
///                  (m / L_i + 1) (F_i + I_i),        some rank has run as many of both
///                  (m / L_i / K) (F_i + tail_i + I_i + W_i) + F_i + tail_i + I_i)  a stash's life
///     tail_i = sum over k > i of F_k + I_k + 2 c
///
/// The span of stage i is at least the largest of
///
///     ceil(N / L_i) (F_i + I_i + W_i)                the work of one rank
///     G_i(m) + ceil((N - m) / L_i) (I_i + W_i)       the gradients from G_i(m) on
///     B_i(N - 1) + W_i                               the last gradient
///     the least T with sum over k < L_i of floor((T - G_i(k)) / (I_i + W_i)) >= N,
///                                                    each rank's first gradient is another
///     the least T with sum over ranks r of floor(T / (F_r + I_r + W_r)) >= N, and
///     the least T with sum over ranks r of floor((T - G_i(0)) / (I_r + W_r)) >= N
///                                                    where ranks differ; N is the sum of lengths,
///                                                    and parts are multiples of their divisor
[[nodiscard]] SHUNT_CONSTEXPR indexed<stage_id, ticks> span_bounds(pipeline_job const& job);

/// Returns the bounds of span_bounds for stage groups: for each, the largest over its stages, and
/// the work of all its stages,
///
///     sum_t N (F_t + I_t + W_t) / ranks,
///     trip(first stage .. S-1 .. b) + sum_t N (I_t + W_t) / ranks,
///
/// where b is the group's last stage: until the first gradient arrives there, only forwards run.
/// Where ranks differ, both also with every rank r at its own pace, its own steps included: the
/// least T with, for prices y_t = min over r of cost_{r,t},
///
///     sum over r of max over t of floor(T / g_r) g_r y_t / cost_{r,t} >= sum_t N y_t,
///
/// g_r the divisor of all costs of rank r (measure/detail/shared_pace.hpp).
/// With steps: until all steps of the group have ended; a step may fill the time in which another
/// stage of its rank waits.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<ticks> stage_group_bounds(pipeline_job const& job,
                                                                    stage_groups const& in,
                                                                    bool with_steps);

/// Returns the least makespan of any plan, in ticks: the largest span plus the way to its stage,
/// sum_{k<i} (F_k + c).
[[nodiscard]] SHUNT_CONSTEXPR ticks makespan_bound(pipeline_job const& job);

/// Returns the least period of any plan whose step is staggered, or of any plan whose step is not:
/// the largest of the stage groups' bounds with steps, or makespan_bound plus the longest steps.
/// Where ranks with different stages have one in common, both also count the work that all ranks
/// which hold one of some stages must share, each rank at its own pace.
[[nodiscard]] SHUNT_CONSTEXPR ticks period_bound(pipeline_job const& job, bool staggered_step);

/// Returns period_bound for plans that fuse all backwards: a backward_input that takes as long as
/// both parts.
[[nodiscard]] SHUNT_CONSTEXPR ticks fused_period_bound(pipeline_job const& job,
                                                       bool staggered_step);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/pipeline_bounds.ipp"
#endif
