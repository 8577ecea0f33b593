#pragma once
/// A lower bound on the makespan of every plan of a layer job: over all cuts into stages, numbers
/// of chunks, layouts and orders at once.
/// Complexity: O(L log L), and O(L) for each of 128 times and 64 units.
#include "shunt/core/units.hpp"
#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// Returns the least makespan of any plan, in ticks.
///
/// Layer k has F_k, I_k, W_k ticks for a micro-batch: forward, backward_input, backward_weight. c
/// is the transfer time, M the micro-batches, N the ranks of a pipeline, T the makespan. A stage's
/// operation is those of its layers one after the other, so that layers of one stage only wait
/// longer for each other than alone. Each layer is on one rank, for all micro-batches. Let
///
///     pre(k)  = sum over j < k of F_j, + c where k > 0
///     post(k) = sum over j < k of I_j, + c + W_0 where k > 0, else 0
///     way     = sum of all F, + (N - 1) c
///     rest(l) = sum over j > l of I_j, + c where l < L - 1
///
/// Take a rank whose layers are A, the first of them k, the last l, and write F(A) for the sum.
/// Layer k - 1 is on another rank, and so is layer l + 1.
///
///  1. The rank starts after pre(k), for its first forward has gone through the layers before k,
///     and then works: T >= pre(k) + M (F + I + W)(A).
///  2. All its forwards and backward_inputs precede an input gradient of layer k. The last of these
///     still goes through the layers before k, whose layer 0 ends with a backward_weight:
///     T >= pre(k) + M (F + I)(A) + post(k).
///  3. It runs no backward before the first gradient arrives at layer l. That micro-batch has gone
///     forward through all layers, over all N ranks, and back to l: T >= way + rest(l) + M (I +
///     W)(A), and for the same reason as in 2 T >= way + rest(l) + M I(A) + post(k).
///
/// Mean over the ranks: order them by their first layers. Before the first layer of the r-th one
/// (from 0) there are at least r layers, on the r ranks before it, so pre is at least the sum of
/// the first r F, and r c; post likewise. Ordered by their last layers rest is at least the sum of
/// the last r I, and r c. The sums of 1, 2 and 3 over all ranks are therefore at most N T.
///
/// Fill: until t <= sum of all F there is no backward, and micro-batch number i (from 0) starts at
/// layer k at sum over j < k of F_j, + i times the longest F_j with j <= k, at the earliest. That
/// limits the forwards of layer k until t, whose sum also is at most t without the F before k. With
/// A(t) for the sum of these limits over all layers the ranks idle at least N t - A(t) until t:
/// N T >= M (F + I + W)(all layers) + N t - A(t). 128 times t are tried.
///
/// A layer h, with any others on its rank: 1, 2 and 3 hold for its operations alone, without the
/// transfers c next to it, which it may not need.
///
/// Packing: of the q N + 1 longest layers some rank has q + 1, at least the q + 1 shortest of them.
/// And for any unit u a rank with work C holds at most C / u whole units, and so do its layers each
/// for itself: some rank has C >= u ceil(sum over the layers of floor(work / u) / N). u is the work
/// of a layer, at most 64 of them.
///
/// Memory: a rank stashes at most K = (memory - state of h) / activation of h micro-batches at
/// layer h. Each is stashed from the forward's start to the backward_weight's end, at least life =
/// F_h + sum over j > h of F_j + I_j, + I_h + W_h. So T >= sum over j < h of F_j + ceil(M / K)
/// life.
///
/// One micro-batch: T >= way + sum over j >= k of I_j, + W_k, and for k = 0 a transfer between all
/// N ranks on the way back.
///
/// With several pipelines the bound is that of one: they are alike and share no rank.
///
/// Requires a valid job in which every layer alone fits the memory.
[[nodiscard]] ticks makespan_bound(layer_job const& job);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/layer_bounds.ipp"
#endif
