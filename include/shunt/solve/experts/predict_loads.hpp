#pragma once
/// Predictors of the loads of the next window from the recorded ones. All arithmetic is in
/// integers, rounded half up, so that every rank predicts the same loads.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Predicts a window of loads: `p(history, cells)` returns `cells` loads. `history` holds one or
/// more whole windows of `cells` loads each, the oldest first.
template <class P>
concept load_predictor =
    named<P> && requires(P const& p, std::span<std::int64_t const> history, std::size_t cells) {
      { p(history, cells) } -> std::same_as<std::vector<std::int64_t>>;
    };

/// Predicts the latest window, as SwiftMoE does.
/// Throws invalid_problem("history") if it holds no whole number of windows.
/// Reference: SYMI, arXiv 2504.19925, section 3.
struct last_window {
  static constexpr std::string_view name = "last";

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const;
};
static_assert(load_predictor<last_window>);

/// Predicts the mean of the last n windows, or of all if there are fewer.
/// Throws invalid_problem("history") as last_window, and invalid_problem("windows") if n is below
/// 1.
struct window_mean {
  static constexpr std::string_view name = "mean";

  std::int32_t windows = 5;  ///< n; Hecate (arXiv 2502.02581) averages 5 iterations.

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const;
};
static_assert(load_predictor<window_mean>);

/// Predicts by exponential smoothing: x <- x + (w - x) a / d from the first window on, with as many
/// binary places, up to 16, as 62 bits hold.
/// Throws invalid_problem("history") as last_window, and invalid_problem("numerator") if a / d is
/// not in (0, 1].
struct exponential_mean {
  static constexpr std::string_view name = "exponential";

  std::int32_t numerator = 1;    ///< a, the weight of the newest window.
  std::int32_t denominator = 2;  ///< d; a half follows drift and still damps noise.

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const;
};
static_assert(load_predictor<exponential_mean>);

/// Predicts by the least-squares line through the last n windows, extended by one window, at least
/// 0: the sum over i of y_i 2 (3 i - n + 1) / (n (n - 1)), i counted from 0 at the oldest.
/// Throws invalid_problem("history") as last_window, and invalid_problem("windows") if n is below
/// 1.
struct linear_trend {
  static constexpr std::string_view name = "linear";

  std::int32_t windows = 5;  ///< n; a line through fewer windows follows noise.

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> operator()(
      std::span<std::int64_t const> history, std::size_t cells) const;
};
static_assert(load_predictor<linear_trend>);

/// Returns the error of a predictor on a series: the sum of |predicted - actual| over all windows
/// but the first, over the tokens of these windows. 0 is perfect; predicting 0 scores 1. Every
/// window is predicted from all windows before it.
/// Throws what validate and the predictor throw, and invalid_problem("loads") for a single window.
template <load_predictor Predictor>
[[nodiscard]] SHUNT_CONSTEXPR double prediction_error(load_series const& series,
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

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/predict_loads.ipp"
#endif
