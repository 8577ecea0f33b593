#pragma once
#include "shunt/simulate/slow_workers.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE void pace_sums::add(double measured, double predicted) {
  double const ratio = std::log(measured / predicted);
  ++count;
  sum += ratio;
  squares += ratio * ratio;
}

SHUNT_INLINE pace_sums& pace_sums::operator+=(pace_sums const& other) {
  count += other.count;
  sum += other.sum;
  squares += other.squares;
  return *this;
}

SHUNT_INLINE double rank_pace::certainty(double least) const {
  if (error > 0) return std::erfc((least - excess) / error / std::sqrt(2.0)) / 2;
  return excess > least ? 1 : 0;
}

SHUNT_INLINE indexed<rank_id, rank_pace> paces_of(indexed<rank_id, pace_sums> const& measured) {
  indexed<rank_id, rank_pace> paces(measured.size());
  std::vector<double> means;
  double spread = 0, freedom = 0;
  for (auto const& [count, sum, squares] : measured) {
    if (count == 0) continue;
    double const n = static_cast<double>(count);
    means.push_back(sum / n);
    spread += std::max(0.0, squares - sum * sum / n);
    freedom += n - 1;
  }
  if (means.size() < 2 || freedom < 1) return paces;
  auto const middle = means.begin() + static_cast<std::ptrdiff_t>((means.size() - 1) / 2);
  std::nth_element(means.begin(), middle, means.end());
  double const deviation = std::sqrt(spread / freedom);  // of one operation
  for (rank_id r : ids<rank_id>(measured.size())) {
    auto const& [count, sum, squares] = measured[r];
    if (count == 0) continue;
    double const n = static_cast<double>(count);
    paces[r] = {true, sum / n - *middle, deviation / std::sqrt(n)};
  }
  return paces;
}

SHUNT_INLINE slow_workers::slow_workers(pipeline_job const& job, double tolerated,
                                        double confidence)
    : predicted_(job),
      tolerated_(tolerated),
      confidence_(confidence),
      of_rank_(static_cast<std::size_t>(job.ranks())) {}

SHUNT_INLINE void slow_workers::add(timeline const& measured) {
  for (event const& e : measured.events) {
    if (e.code != opcode::compute || !shows_pace(e.op.kind) || !of_rank_.contains(e.rank)) continue;
    ticks const due = predicted_.compute(e.rank, e.op);
    if (due > 0 && e.end > e.start)
      of_rank_[e.rank].add(static_cast<double>(e.end - e.start), static_cast<double>(due));
  }
}

SHUNT_INLINE std::vector<slow_rank> slow_workers::slow() const {
  std::vector<slow_rank> found;
  auto const paces = paces_of(of_rank_);
  double const least = std::log(tolerated_);
  for (rank_id r : ids<rank_id>(paces.size())) {
    auto const& pace = paces[r];
    if (!pace.known || pace.excess <= least) continue;
    if (double const sure = pace.certainty(least); sure >= confidence_)
      found.push_back({r, std::exp(pace.excess), sure});
  }
  return found;
}

}  // namespace shunt
