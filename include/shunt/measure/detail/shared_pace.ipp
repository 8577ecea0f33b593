#pragma once
#include "shunt/measure/detail/shared_pace.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace shunt::detail {

SHUNT_CONSTEXPR ticks shared_pace::least() const {
  if (pace.empty() || *std::min_element(pace.begin(), pace.end()) == 0) return 0;
  auto const fits = [&](ticks length) {
    std::int64_t left = units / part;
    for (ticks const p : pace) {
      left -= length / p / part;
      if (left <= 0) return true;
    }
    return false;
  };
  ticks low = 0, high = units * *std::min_element(pace.begin(), pace.end());  // one rank does all
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    if (fits(middle))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

SHUNT_CONSTEXPR void priced_work::add(ticks besides, std::vector<ticks> cost) {
  ticks step = 0;
  for (std::size_t i = 0; i < cost.size(); ++i) {
    if (cost[i] == 0) continue;
    price_[i] = price_[i] == 0 ? cost[i] : std::min(price_[i], cost[i]);
    step = std::gcd(step, cost[i] * part_);
  }
  ranks_.push_back({besides, std::move(cost), step});
}

SHUNT_CONSTEXPR ticks priced_work::least() const {
  ticks grain = 0, low = 0, high = 0, all = 0;
  for (ticks const y : price_) {
    grain = std::gcd(grain, y * part_);
    all += units_ * y;
  }
  if (all == 0) return 0;
  for (auto const& r : ranks_) high = std::max(high, r.besides);
  high += all;  // each stage's fastest rank alone
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    ticks left = all;
    for (auto const& r : ranks_)
      if ((left -= value(r, middle, grain)) <= 0) break;
    if (left <= 0)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

SHUNT_CONSTEXPR ticks priced_work::value(member const& r, ticks time, ticks grain) const {
  ticks used = time - r.besides;
  if (used <= 0 || r.step == 0) return 0;
  used -= used % r.step;
  ticks most = 0;
  for (std::size_t i = 0; i < price_.size(); ++i) {
    if (r.cost[i] == 0) continue;
    // used y / c, rounded down, or up to y more where a product is beyond 64 bits
    auto const rest = checked_multiply(used % r.cost[i], price_[i]);
    most = std::max(most, used / r.cost[i] * price_[i] + (rest ? *rest / r.cost[i] : price_[i]));
  }
  return most - most % grain;
}

}  // namespace shunt::detail
