#pragma once
#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/solver.hpp"

/// The loads of the next window from those recorded so far. All in integers, rounded half up, so
/// that every rank predicts the same.
namespace shunt {

/// Predicts a window: `history` holds whole windows of `cells` loads each, the oldest first, at
/// least one; so does the answer.
template <class P>
concept load_predictor =
    named<P> && requires(P const& p, std::span<std::int64_t const> history, std::size_t cells) {
      { p(history, cells) } -> std::same_as<std::vector<std::int64_t>>;
    };

namespace detail {

/// The last `most` windows of a history.
[[nodiscard]] constexpr std::span<std::int64_t const> last_windows(
    std::span<std::int64_t const> history, std::size_t cells, std::int32_t most) {
  if (cells == 0 || history.empty() || history.size() % cells != 0)
    throw invalid_problem("history", "has " + std::to_string(history.size()) +
                                         " loads, no whole number of windows of " +
                                         std::to_string(cells));
  if (most < 1) throw invalid_problem("windows", "must be at least 1, is " + std::to_string(most));
  return history.last(std::min(history.size(), cells * static_cast<std::size_t>(most)));
}

}  // namespace detail

/// The next window is like the last: what SwiftMoE does (SYMI section 3). Throws
/// invalid_problem("history"), as all of these do.
struct last_window {
  static constexpr std::string_view name = "last";

  [[nodiscard]] constexpr std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const {
    auto const last = detail::last_windows(history, cells, 1);
    return {last.begin(), last.end()};
  }
};
static_assert(load_predictor<last_window>);

/// The mean of the last n windows, or of as many as there are.
struct window_mean {
  static constexpr std::string_view name = "mean";

  std::int32_t windows = 5;  ///< n; Hecate (arXiv 2502.02581) averages 5 iterations

  [[nodiscard]] constexpr std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const {
    auto const recent = detail::last_windows(history, cells, windows);
    auto const n = static_cast<std::int64_t>(recent.size() / cells);
    std::vector<std::int64_t> sum(cells, 0),
        rest(cells, n / 2);  // of the quotients, and of what division by n leaves
    for (std::size_t i = 0; i < recent.size(); ++i) {
      sum[i % cells] += recent[i] / n;
      rest[i % cells] += recent[i] % n;
    }
    for (std::size_t c = 0; c < cells; ++c) sum[c] += rest[c] / n;
    return sum;
  }
};
static_assert(load_predictor<window_mean>);

/// Exponential smoothing: x <- x + (w - x) a / d from the first window on. Kept with as many binary
/// places, up to 16, as 62 bits hold.
struct exponential_mean {
  static constexpr std::string_view name = "exponential";

  std::int32_t numerator = 1;    ///< a, the weight of the newest window
  std::int32_t denominator = 2;  ///< d; a half follows drift and still damps noise

  /// Throws invalid_problem also where the weight isn't in (0, 1].
  [[nodiscard]] constexpr std::vector<std::int64_t> operator()(
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
    for (auto& value : x)
      value = (value >> places) + (places > 0 ? (value >> (places - 1) & 1) : 0);
    return x;
  }
};
static_assert(load_predictor<exponential_mean>);

/// The straight line through the last n windows with the least squares, one window further, and not
/// below 0: sum over i of y_i 2 (3 i - n + 1) / (n (n - 1)), i counted from 0 at the oldest.
struct linear_trend {
  static constexpr std::string_view name = "linear";

  std::int32_t windows = 5;  ///< n; a line through fewer follows noise

  [[nodiscard]] constexpr std::vector<std::int64_t> operator()(
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
};
static_assert(load_predictor<linear_trend>);

/// How far a predictor is off on a series: the sum of |predicted - actual| over all windows but the
/// first, over the tokens of these windows. 0 is perfect; predicting nothing scores 1. Every window
/// is predicted from all before it. Throws what validate throws, and invalid_problem("loads") for a
/// single window.
template <load_predictor Predictor>
[[nodiscard]] constexpr double prediction_error(load_series const& series,
                                                Predictor const& predict) {
  validate(series);
  if (series.windows() < 2) throw invalid_problem("loads", "has one window and nothing to predict");
  double off = 0, tokens = 0;
  for (std::int32_t w = 1; w < series.windows(); ++w) {
    auto const guess =
        predict(std::span(series.loads).first(static_cast<std::size_t>(w) * series.cells()),
                series.cells());
    auto const actual = series.window(w);
    for (std::size_t c = 0; c < actual.size(); ++c) {
      off +=
          static_cast<double>(guess[c] > actual[c] ? guess[c] - actual[c] : actual[c] - guess[c]);
      tokens += static_cast<double>(actual[c]);
    }
  }
  return tokens > 0 ? off / tokens : off > 0 ? 1 : 0;
}

}  // namespace shunt
