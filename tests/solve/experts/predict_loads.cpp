#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
#include "support/expert_policies.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::predict_loads_test {
namespace {

TEST(predict_loads, by_hand) {
  loads_list const history{10, 0, 20, 100, 40, 7};  // three windows of two loads
  EXPECT_EQ(shunt::last_window{}(history, 2), (loads_list{40, 7}));
  EXPECT_EQ(shunt::window_mean{.windows = 2}(history, 2),
            (loads_list{30, 54}));  // 53.5 is rounded up
  EXPECT_EQ(shunt::window_mean{}(history, 2), (loads_list{23, 36}));
  EXPECT_EQ(shunt::exponential_mean{}(history, 2),
            (loads_list{28, 29}));  // 10, 15, 27.5; 0, 50, 28.5
  EXPECT_EQ(shunt::linear_trend{}(history, 2),
            (loads_list{53, 43}));  // 23.3 + 2 x 15; 35.7 + 2 x 3.5
  EXPECT_EQ(shunt::linear_trend{.windows = 2}(history, 2), (loads_list{60, 0}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{5, 6}, 2), (loads_list{5, 6}));
}

TEST(predict_loads, equal_their_formulas_in_doubles) {
  std::mt19937_64 random(18);
  for (int i = 0; i < 2000; ++i) {
    auto const cells = static_cast<std::size_t>(1 + below(random, 3));
    auto const windows = static_cast<std::size_t>(1 + below(random, 9));
    loads_list history;
    for (std::size_t c = 0; c < cells * windows; ++c)
      history.push_back(any_load(random, below(random, 4)));
    auto const n_asked = static_cast<std::int32_t>(1 + below(random, 7));
    auto const n = std::min(windows, static_cast<std::size_t>(n_asked));
    auto const d = static_cast<std::int32_t>(1 + below(random, 5)),
               a = static_cast<std::int32_t>(1 + below(random, d));
    auto const mean = shunt::window_mean{.windows = n_asked}(history, cells);
    auto const line = shunt::linear_trend{.windows = n_asked}(history, cells);
    auto const smooth = shunt::exponential_mean{.numerator = a, .denominator = d}(history, cells);
    for (std::size_t c = 0; c < cells; ++c) {
      double sum = 0, x = 0, ix = 0, most = 1;
      for (std::size_t w = 0; w < windows; ++w) {
        auto const y = static_cast<double>(history[w * cells + c]);
        most = std::max(most, y);
        x = w == 0 ? y : x + (y - x) * a / d;
      }
      for (std::size_t k = 0; k < n; ++k) {
        auto const y = static_cast<double>(history[(windows - n + k) * cells + c]);
        sum += y;
        ix += y * (static_cast<double>(k) - static_cast<double>(n - 1) / 2);
      }
      auto const count = static_cast<double>(n);
      double const slope = n == 1 ? 0 : ix * 12 / (count * (count * count - 1));
      EXPECT_NEAR(static_cast<double>(mean[c]), sum / count, 0.51 + most * 1e-12);
      EXPECT_NEAR(static_cast<double>(smooth[c]), x, 0.6 + most * 1e-12);
      EXPECT_NEAR(static_cast<double>(line[c]),
                  std::max(0.0, sum / count + slope * (count + 1) / 2), 0.51 + most * 1e-11);
    }
  }
}

TEST(predict_loads, large_loads_and_bad_input) {
  std::int64_t const much = (std::int64_t{1} << 61) - 1;
  loads_list const same{much, much, much};
  EXPECT_EQ(shunt::window_mean{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::exponential_mean{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::linear_trend{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{much, 0}, 1), (loads_list{0}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{0, much}, 1), (loads_list{2 * much}));
  EXPECT_EQ(field_of([] { (void)shunt::last_window{}(loads_list{}, 2); }), "history");
  EXPECT_EQ(field_of([] { (void)shunt::window_mean{}(loads_list{1, 2, 3}, 2); }), "history");
  EXPECT_EQ(field_of([] { (void)shunt::linear_trend{.windows = 0}(loads_list{1}, 1); }), "windows");
  EXPECT_EQ(field_of([] { (void)shunt::exponential_mean{.numerator = 3}(loads_list{1}, 1); }),
            "numerator");
}

TEST(predict_loads, are_scored) {
  load_series const rising{.layers = 1, .experts = 2, .loads = {10, 30, 20, 40, 30, 50, 40, 60}};
  EXPECT_DOUBLE_EQ(shunt::prediction_error(rising, shunt::last_window{}), 60.0 / 240);
  EXPECT_DOUBLE_EQ(shunt::prediction_error(rising, shunt::linear_trend{}),
                   20.0 / 240);  // the second window alone is not foreseen
  load_series const still{.layers = 2, .experts = 1, .loads = {7, 8, 7, 8, 7, 8}};
  for (double const error : {shunt::prediction_error(still, shunt::last_window{}),
                             shunt::prediction_error(still, shunt::window_mean{}),
                             shunt::prediction_error(still, shunt::exponential_mean{}),
                             shunt::prediction_error(still, shunt::linear_trend{})})
    EXPECT_EQ(error, 0);
  EXPECT_EQ(field_of([] {
              (void)shunt::prediction_error(load_series{.loads = {1}}, shunt::last_window{});
            }),
            "loads");
}

}  // namespace
}  // namespace shunt::tests::predict_loads_test
