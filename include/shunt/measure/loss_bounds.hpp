#pragma once
/// A lower bound on the period of every plan after a loss of workers, over all ways to give stages
/// and micro-batches to ranks.
/// Complexity: O(D S).
#include "shunt/core/units.hpp"
#include "shunt/problem/worker_losses.hpp"

namespace shunt {

/// Returns the least period of any plan, in ticks. Stage s has F_s, I_s, W_s ticks on its fastest
/// live rank, N micro-batches run (the sum of lengths), R ranks are alive, spares among them, and k
/// of them are needed to hold all states. The largest of
///
///     ceil(N sum_s (F_s + I_s + W_s) / (R q)) q    ideal sharing: the work over the live ranks,
///                                                  in units of q, the greatest common divisor of
///                                                  F_s + I_s + W_s
///     ceil((N sum_s (F_s + I_s + W_s) + sum_s step_s) / R)
///     sum_s (F_s + I_s) + W_0 + step_0 + 2 (k - 1) c
///                                                  a micro-batch from its first forward to the
///                                                  step of the rank that began it; c is the least
///                                                  transfer time
///
/// Requires valid losses with a live rank.
[[nodiscard]] ticks period_bound(worker_losses const& losses);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/loss_bounds.ipp"
#endif
