#pragma once
/// A lower bound on the makespan of every plan of a layer job: over all cuts into stages, numbers
/// of chunks, layouts and orders at once.
/// Complexity: O(L log L), O(L) for each of 64 units and 400 times, and at most 4,000 steps that
/// put a layer on a rank.
#include "shunt/core/units.hpp"
#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// Returns a number of ticks that no plan's makespan is below.
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
/// All ranks: order them by their first layers. Before the first layer of the r-th one (from 0)
/// there are at least r layers, on the r ranks before it, so pre is at least the sum of the first r
/// F, and r c; post likewise. Ordered by their last layers rest is at least the sum of the last r
/// I, and r c. Within T the r-th rank therefore has layers of at most (T - pre) / M ticks under 1,
/// a whole number, and a multiple of the greatest common divisor of the layers' ticks. All layers
/// need room: T is at least the least for which the sum of these over the ranks reaches (F + I +
/// W)(all layers). 2 and 3 likewise.
///
/// First and last ticks: a layer passes micro-batches in some order. Those that are number 0 .. i
/// at layer k have all passed every layer before, one after the other, so the last of them left the
/// slowest one i times its duration after the first could. Likewise from the end: the last i + 1 of
/// layer k still pass all that is behind it. Hence number i of each kind, counted from the end in
/// the last two rows, starts (ends) at least this long after the start (before the end), with way
/// as above and sums and maxima over j:
///
///     forward          sum of F_j, j < k                    + i max F_j, j <= k
///     backward_input   way + sum of I_j, j > k              + i max(all F_j, I_j with j >= k,
///                                                                   F + I of layer L - 1)
///     backward_weight  that + I_k                           + i max(that, W_k)
///     backward_input   W_0 + sum of I_j, j < k              + i max(I_j with j <= k, I_0 + W_0)
///     forward          W_0 + (N - 1) c + sum of all I_j,    + i max(all I_j, F_j with j >= k,
///                          + sum of F_j, j > k                      I_0 + W_0, F + I of L - 1)
///
/// The rank of layer L - 1 does both its F and I of all i + 1 between these, the rank of layer 0
/// all their I and W. backward_weights can all be last. So layer k works at most a_k(t) in the
/// first t ticks and e_k(s) in the last s: the sum of what fits of each kind, and no more than the
/// time since it can start. Where T >= t + s, what is left has T - t - s ticks on each rank; where
/// T < t + s, nothing is left. Hence
///
///  4. max(0, T - t - s) >= sum over A of M (F_k + I_k + W_k) - a_k(t) - e_k(s)
///
/// for each rank, and N times as much for all layers. The sum over all layers is tried for some 200
/// t and 200 s.
///
/// Shares: for up to 64 layers assignments of layers to ranks are tried, longest first. T is too
/// short where none fulfils 4 for 13 t and 7 s, and 1, 2 and 3, with all transfers between
/// neighbouring layers on unlike ranks. A part of a rank's layers has to fulfil 4 by itself, so
/// assignments are left off early. A T that is not refuted within 500 steps is left.
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
