#pragma once
/// Building blocks: one micro-batch's way through the pipeline, repeated at a fixed distance (Qi et
/// al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362).
///
/// Every operation takes one slot; the block repeats every T slots, three for each seat of the
/// fullest rank, so that no rank idles between repetitions. The micro-batch goes from seat to seat
/// as soon as the next rank has its slot free modulo T, or a few slots later: the way of a V's leg,
/// there or back, has one such delay for each chunk. How long a micro-batch lives on a seat is how
/// many of them the seat stashes: the shortest block is V-min, one with half of 1F1B's stash
/// V-half. O(seats * T).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"

namespace shunt::detail {

/// Extra slots: before each hop of a forward (of an even chunk, of an odd one) and of a
/// backward_input, and at the turns.
struct block_shape {
  std::int32_t forward[2] = {0, 0};
  std::int32_t input[2] = {0, 0};
  std::int32_t turn = 0;  ///< from the last forward to its backward_input
  constexpr bool operator==(block_shape const&) const = default;
};

/// The slots of a block, a seat.
struct repeated_block {
  std::int32_t period = 1;
  std::vector<ticks> forward{}, input{}, weight{};

  repeated_block(pipeline_job const& job, chain_scheduler const& chain, block_shape const& shape) {
    auto const seats = chain.seats();
    auto const ranks = static_cast<std::size_t>(job.ranks());
    std::vector<std::int32_t> held(ranks, 0);
    for (std::size_t q = 0; q < seats; ++q) period = std::max(period, 3 * ++held[chain.rank_of(q)]);
    std::vector<bool> taken(ranks * static_cast<std::size_t>(period), false);
    auto const place = [&](std::size_t q, ticks from) {
      auto const row = chain.rank_of(q) * static_cast<std::size_t>(period);
      while (taken[row + static_cast<std::size_t>(from % period)]) ++from;
      taken[row + static_cast<std::size_t>(from % period)] = true;
      return from;
    };
    forward.resize(seats);
    input.resize(seats);
    weight.resize(seats);
    std::int32_t const length = job.stages / job.layout.chunks();
    auto const leg = [&](std::int32_t q) {
      return static_cast<std::size_t>(chain.at(static_cast<std::size_t>(q)).stage.value() / length %
                                      2);
    };
    for (std::size_t begin = 0; begin < seats; ++begin) {
      if (chain.previous(begin) >= 0) continue;
      auto q = static_cast<std::int32_t>(begin), last = q;
      for (ticks t = 0; q >= 0; q = chain.next(static_cast<std::size_t>(q))) {
        forward[static_cast<std::size_t>(q)] = t = place(static_cast<std::size_t>(q), t);
        t += 1 + shape.forward[leg(q)];
        last = q;
      }
      for (ticks t = forward[static_cast<std::size_t>(last)] + 1 + shape.turn; last >= 0;
           last = chain.previous(static_cast<std::size_t>(last))) {
        input[static_cast<std::size_t>(last)] = t = place(static_cast<std::size_t>(last), t);
        t += 1 + shape.input[leg(last)];
      }
    }
    for (std::size_t q = 0; q < seats; ++q) weight[q] = place(q, input[q] + 1);
  }

  /// Micro-batches between their forward and the end of their backward_input on a seat, at most.
  [[nodiscard]] std::int32_t in_flight(std::size_t q) const {
    return static_cast<std::int32_t>((input[q] - forward[q] + period) / period);
  }
};

}  // namespace shunt::detail
