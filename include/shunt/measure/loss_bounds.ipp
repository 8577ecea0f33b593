#pragma once
#include "shunt/measure/loss_bounds.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

/// What a rank can do at most of the work of the fastest ranks.
struct rank_speed {
  ticks unit = 0, step = 0;  // of its work; the least of its steps
  std::int64_t speed = 0;    // of the fastest's, in 2^shift, rounded up

  [[nodiscard]] std::int64_t share(ticks within, int shift, std::int64_t whole) const {
    if (within <= step) return 0;
    auto const done = ((within - step) / unit * unit * speed) >> shift;
    return done / whole * whole;
  }
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE ticks period_bound(worker_losses const& losses) {
  auto const& job = losses.job;
  rank_costs const costs(losses);
  std::vector<rank_id> live;  // without costs by rank, one for all
  std::int64_t each = 1;      // ranks for each of these
  auto const all = static_cast<std::int64_t>(job.ranks()) -
                   static_cast<std::int64_t>(job.dead.size()) + losses.spares;
  if (costs.by_rank()) {
    std::vector<char> dead(static_cast<std::size_t>(job.ranks()), 0);
    for (worker const& w : job.dead) dead[job.rank_of(w).index()] = 1;
    for (rank_id const r : ids<rank_id>(job.ranks() + losses.spares))
      if (r.value() >= job.ranks() || !dead[r.index()]) live.push_back(r);
  } else {
    live.push_back(0);
    each = all;
  }
  std::int64_t units = job.total_microbatches(), common = 1, longest = 1;
  if (!job.lengths.empty()) {
    units = std::accumulate(job.lengths.begin(), job.lengths.end(), std::int64_t{0});
    longest = *std::max_element(job.lengths.begin(), job.lengths.end());
    common = std::accumulate(job.lengths.begin(), job.lengths.end(), std::int64_t{0},
                             [](std::int64_t a, std::int64_t b) { return std::gcd(a, b); });
  }
  std::vector<ticks> fastest;  // by stage
  ticks work = 0, whole = 0, steps = 0, way = 0;
  byte_count states = 0;
  for (stage_id const s : ids<stage_id>(job.stages)) {
    constexpr ticks never = std::numeric_limits<ticks>::max();
    ticks least = never, there = never, step = never, begun = never;
    for (rank_id const r : live) {
      auto const& c = costs.on(r, s);
      least = std::min(least, c.microbatch());
      there = std::min(there, c.forward + c.backward_input);
      step = std::min(step, c.step);
      begun = std::min(begun, longest * c.microbatch() + c.step);
    }
    fastest.push_back(least);
    work += least;
    whole = std::gcd(whole, least);
    way += s == 0 ? begun : longest * there;
    steps += step;
    states += losses.state[s];
  }
  if (losses.state_limit > 0 && states > 0) {
    auto const links = job.transfer.values();
    way += 2 * (ceil_divide<byte_count>(states, losses.state_limit) - 1) *
           *std::min_element(links.begin(), links.end());
  }
  auto const total = units * work;
  int const shift = std::clamp(
      58 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(2 * (total + steps)))), 0,
      20);
  std::vector<detail::rank_speed> ranks;
  std::int64_t slowest = std::int64_t{1} << shift, speeds = 0;
  for (rank_id const r : live) {
    detail::rank_speed own{.step = costs.on(r, 0).step};
    for (stage_id const s : ids<stage_id>(job.stages)) {
      auto const& c = costs.on(r, s);
      own.unit = std::gcd(own.unit, c.microbatch());
      own.step = std::min(own.step, c.step);
      own.speed =
          std::max(own.speed, fastest[s.index()] == c.microbatch()
                                  ? std::int64_t{1} << shift
                                  : ceil_divide(fastest[s.index()] << shift, c.microbatch()));
    }
    own.unit *= common;
    slowest = std::min(slowest, own.speed);
    speeds += own.speed * each;
    ranks.push_back(own);
  }
  auto const enough = [&](ticks within) {
    std::int64_t left = total;
    for (auto const& r : ranks) {
      left -= std::min(left, r.share(within, shift, whole * common) * each);
      if (left == 0) return true;
    }
    return false;
  };
  ticks low = 0, high = 1;
  constexpr ticks most = std::numeric_limits<ticks>::max();
  while (!enough(high)) low = std::exchange(high, high > most / 2 ? most : high * 2);
  while (high - low > 1) {
    auto const middle = low + (high - low) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return std::max({high, ceil_divide((total << shift) + steps * slowest, speeds), way});
}

}  // namespace shunt
