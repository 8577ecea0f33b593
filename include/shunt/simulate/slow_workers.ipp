#pragma once
#include "shunt/simulate/slow_workers.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "shunt/core/config.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

SHUNT_INLINE slow_workers::slow_workers(pipeline_job const& job, double tolerated,
                                        double confidence)
    : predicted_(job),
      tolerated_(tolerated),
      confidence_(confidence),
      of_rank_(static_cast<std::size_t>(job.ranks())) {}

SHUNT_INLINE void slow_workers::add(timeline const& measured) {
  for (event const& e : measured.events) {
    bool const timed = e.op.kind == op_kind::forward || e.op.kind == op_kind::backward ||
                       e.op.kind == op_kind::backward_input ||
                       e.op.kind == op_kind::backward_weight;
    if (e.code != opcode::compute || !timed || e.rank.index() >= of_rank_.size()) continue;
    ticks const due = predicted_.compute(e.rank, e.op);
    if (due <= 0 || e.end <= e.start) continue;
    double const ratio = std::log(static_cast<double>(e.end - e.start) / static_cast<double>(due));
    auto& own = of_rank_[e.rank];
    ++own.count;
    own.sum += ratio;
    own.squares += ratio * ratio;
  }
}

SHUNT_INLINE std::vector<slow_rank> slow_workers::slow() const {
  std::vector<double> means;
  double spread = 0, freedom = 0;
  for (auto const& [count, sum, squares] : of_rank_) {
    if (count == 0) continue;
    double const n = static_cast<double>(count);
    means.push_back(sum / n);
    spread += std::max(0.0, squares - sum * sum / n);
    freedom += n - 1;
  }
  std::vector<slow_rank> found;
  if (means.size() < 2 || freedom < 1) return found;
  auto const middle = means.begin() + static_cast<std::ptrdiff_t>((means.size() - 1) / 2);
  std::nth_element(means.begin(), middle, means.end());
  double const deviation = std::sqrt(spread / freedom);  // of one operation
  for (rank_id r : ids<rank_id>(of_rank_.size())) {
    auto const& [count, sum, squares] = of_rank_[r];
    if (count == 0) continue;
    double const n = static_cast<double>(count), excess = sum / n - *middle,
                 beyond = excess - std::log(tolerated_), error = deviation / std::sqrt(n);
    if (beyond <= 0) continue;
    double const sure = error > 0 ? std::erfc(-beyond / error / std::sqrt(2.0)) / 2 : 1;
    if (sure >= confidence_) found.push_back({r, std::exp(excess), sure});
  }
  return found;
}

}  // namespace shunt
