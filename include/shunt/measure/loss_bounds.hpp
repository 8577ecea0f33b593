#pragma once
/// A lower bound on the period of every plan after a loss of workers, over all ways to give stages
/// and micro-batches to ranks.
/// Complexity: O(D S), and O(ranks x S) where costs differ by worker.
#include "shunt/core/units.hpp"
#include "shunt/problem/worker_losses.hpp"

namespace shunt {

/// Returns the least period of any plan, in ticks. Stage s takes c_rs ticks a unit of length on
/// live rank r (rank_costs), y_s on the fastest, N units run (the sum of lengths), k ranks are
/// needed to hold all states. Rank r is at most e_r = max_s y_s / c_rs times as fast as the
/// fastest. The least T under which all three hold:
///
///     sum_r e_r q_r floor((T - least step of r) / q_r) >= N sum_s y_s
///                          ideal sharing in proportion to speed; q_r is the greatest common
///                          divisor of the c_rs, times that of the lengths
///     T sum_r e_r >= N sum_s y_s + min_r e_r sum_s step_s
///     T >= min_r (l c_r0 + step_r0) + sum_(s > 0) l (F_s + I_s) + 2 (k - 1) c
///                          the longest micro-batch, of l units, from its first forward to the step
///                          of the rank that began it; c is the least transfer time
///
/// Requires valid losses with a live rank.
[[nodiscard]] ticks period_bound(worker_losses const& losses);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/loss_bounds.ipp"
#endif
