#pragma once
#include "shunt/solve/experts/predict_loads.hpp"

#include <algorithm>
#include <bit>

namespace shunt::detail {

// Returns the last `most` windows of a history, or all if it has fewer.
// Throws invalid_problem("history") if it holds no whole number of windows, at least one;
// invalid_problem("windows") if `most` is below 1.
SHUNT_CONSTEXPR std::span<std::int64_t const> last_windows(std::span<std::int64_t const> history,
                                                           std::size_t cells, std::int32_t most) {
  if (cells == 0 || history.empty() || history.size() % cells != 0)
    throw invalid_problem("history", "has " + std::to_string(history.size()) +
                                         " loads, no whole number of windows of " +
                                         std::to_string(cells));
  if (most < 1) throw invalid_problem("windows", "must be at least 1, is " + std::to_string(most));
  return history.last(std::min(history.size(), cells * static_cast<std::size_t>(most)));
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR std::vector<std::int64_t> last_window::operator()(
    std::span<std::int64_t const> history, std::size_t cells) const {
  auto const last = detail::last_windows(history, cells, 1);
  return {last.begin(), last.end()};
}

SHUNT_CONSTEXPR std::vector<std::int64_t> window_mean::operator()(
    std::span<std::int64_t const> history, std::size_t cells) const {
  auto const recent = detail::last_windows(history, cells, windows);
  auto const n = static_cast<std::int64_t>(recent.size() / cells);
  std::vector<std::int64_t> sum(cells, 0),
      rest(cells, n / 2);  // of the quotients, and of the remainders of the division by n
  for (std::size_t i = 0; i < recent.size(); ++i) {
    sum[i % cells] += recent[i] / n;
    rest[i % cells] += recent[i] % n;
  }
  for (std::size_t c = 0; c < cells; ++c) sum[c] += rest[c] / n;
  return sum;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> exponential_mean::operator()(
    std::span<std::int64_t const> history, std::size_t cells) const {
  auto const all = detail::last_windows(
      history, cells, static_cast<std::int32_t>(std::min<std::size_t>(history.size(), 1u << 30)));
  if (numerator < 1 || denominator < numerator)
    throw invalid_problem("numerator", "must be from 1 to the denominator, " +
                                           std::to_string(denominator) + ", is " +
                                           std::to_string(numerator));
  std::int64_t most = 0;
  for (auto const load : all) most = std::max(most, load);
  int const places =
      std::clamp(61 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most))), 0, 16);
  std::vector<std::int64_t> x(cells, 0);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::int64_t const w = all[i] << places;
    if (i < cells) {
      x[i] = w;
      continue;
    }
    std::int64_t const gap = w - x[i % cells];
    x[i % cells] += gap / denominator * numerator + gap % denominator * numerator / denominator;
  }
  for (auto& value : x) value = (value >> places) + (places > 0 ? (value >> (places - 1) & 1) : 0);
  return x;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> linear_trend::operator()(
    std::span<std::int64_t const> history, std::size_t cells) const {
  auto const recent = detail::last_windows(history, cells, std::min(windows, 1 << 15));
  auto const n = static_cast<std::int64_t>(recent.size() / cells);
  if (n == 1) return {recent.begin(), recent.end()};
  std::int64_t const whole = n * (n - 1);
  std::vector<std::int64_t> sum(cells, 0), rest(cells, whole / 2);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < cells; ++c) {
      std::int64_t const y = recent[static_cast<std::size_t>(i) * cells + c],
                         weight = 2 * (3 * i - n + 1);
      sum[c] += y / whole * weight;
      rest[c] += y % whole * weight;
    }
  for (std::size_t c = 0; c < cells; ++c) {
    std::int64_t const floor = rest[c] >= 0 ? rest[c] / whole : -((-rest[c] + whole - 1) / whole);
    sum[c] = std::max<std::int64_t>(0, sum[c] + floor);
  }
  return sum;
}

}  // namespace shunt
