#pragma once
#include "shunt/solve/pipeline/search/repeated_block.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE repeated_block::repeated_block(pipeline_job const& job, chain_scheduler const& chain,
                                            block_shape const& shape) {
  auto const positions = chain.positions();
  auto const ranks = static_cast<std::size_t>(job.ranks());
  std::vector<std::int32_t> held(ranks, 0);
  for (std::size_t q = 0; q < positions; ++q)
    period = std::max(period, 3 * ++held[chain.rank_of(q)]);
  std::vector<bool> taken(ranks * static_cast<std::size_t>(period), false);
  auto const place = [&](std::size_t q, ticks from) {
    auto const row = chain.rank_of(q) * static_cast<std::size_t>(period);
    while (taken[row + static_cast<std::size_t>(from % period)]) ++from;
    taken[row + static_cast<std::size_t>(from % period)] = true;
    return from;
  };
  forward.resize(positions);
  input.resize(positions);
  weight.resize(positions);
  std::int32_t const length = job.stages / job.layout.chunks();
  auto const leg = [&](std::int32_t q) {
    return static_cast<std::size_t>(chain.at(static_cast<std::size_t>(q)).stage.value() / length %
                                    2);
  };
  for (std::size_t begin = 0; begin < positions; ++begin) {
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
  for (std::size_t q = 0; q < positions; ++q) weight[q] = place(q, input[q] + 1);
}

SHUNT_INLINE std::int32_t repeated_block::in_flight(std::size_t q) const {
  return static_cast<std::int32_t>((input[q] - forward[q] + period) / period);
}

}  // namespace shunt::detail
