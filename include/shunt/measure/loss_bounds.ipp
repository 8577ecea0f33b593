#pragma once
#include "shunt/measure/loss_bounds.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_INLINE ticks period_bound(worker_losses const& losses) {
  auto const& job = losses.job;
  auto const least = [&](per_stage const& list, stage_id s) {
    if (list.size() <= static_cast<std::size_t>(job.stages)) return list[s];
    ticks best = list.of(0, s, job.stages);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      best = std::min(best, list.of(p, s, job.stages));
    return best;
  };
  auto const& c = job.costs;
  ticks work = 0, unit = 0, steps = 0, way = 0;
  byte_count states = 0;
  for (stage_id s : ids<stage_id>(job.stages)) {
    ticks const there = least(c.forward, s) + least(c.backward_input, s);
    ticks const all = there + least(c.backward_weight, s);
    work += all;
    unit = std::gcd(unit, all);
    way += there;
    steps += least(c.step, s);
    states += losses.state[s];
  }
  std::int64_t microbatches = job.total_microbatches(), shortest = 1;
  if (!job.lengths.empty()) {
    microbatches = std::accumulate(job.lengths.begin(), job.lengths.end(), std::int64_t{0});
    shortest = *std::min_element(job.lengths.begin(), job.lengths.end());
  }
  auto const live =
      static_cast<ticks>(job.ranks()) - static_cast<ticks>(job.dead.size()) + losses.spares;
  ticks way_of_one = (way + least(c.backward_weight, 0)) * shortest + least(c.step, 0);
  if (losses.state_limit > 0 && states > 0) {
    auto const links = job.transfer.values();
    way_of_one += 2 * (ceil_divide<byte_count>(states, losses.state_limit) - 1) *
                  *std::min_element(links.begin(), links.end());
  }
  return std::max({ceil_divide(microbatches * work, live * unit) * unit,
                   ceil_divide(microbatches * work + steps, live), way_of_one});
}

}  // namespace shunt
