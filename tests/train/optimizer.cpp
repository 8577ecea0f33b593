#include "shunt/train/optimizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace shunt::tests::optimizer_test {
namespace {

static_assert(optimizer<adam> && invertible_optimizer<adam>);
static_assert(optimizer<sgd> && !invertible_optimizer<sgd>);

TEST(optimizer, adam_is_the_papers_formula) {
  adam const optimizer{.rate = 0.01F};
  std::vector<float> p{1}, state{0, 0};
  double m = 0, v = 0, expected = 1;
  for (std::int64_t t = 1; t <= 30; ++t) {
    double const g = std::cos(static_cast<double>(t));
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    auto const n = static_cast<double>(t);
    expected -=
        0.01 * (m / (1 - std::pow(0.9, n))) / (std::sqrt(v / (1 - std::pow(0.99, n))) + 1e-8);
    optimizer(p, state, std::vector<float>{static_cast<float>(g)}, t);
    EXPECT_NEAR(static_cast<double>(p[0]), expected, 1e-5);
  }
}

TEST(optimizer, adam_keeps_the_moments_of_parameters_apart) {
  adam const optimizer{.rate = 0.1F};
  std::vector<float> p{1, -2}, state(4, 0);
  std::vector<double> expected{1, -2}, m(2, 0), v(2, 0);
  for (std::int64_t t = 1; t <= 5; ++t) {
    auto const n = static_cast<double>(t);
    std::vector<float> const gradient{0.25F, -0.125F * static_cast<float>(t)};
    optimizer(p, state, gradient, t);
    for (std::size_t i = 0; i < 2; ++i) {
      auto const g = static_cast<double>(gradient[i]);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      expected[i] -= 0.1 * (m[i] / (1 - std::pow(0.9, n))) /
                     (std::sqrt(v[i] / (1 - std::pow(0.99, n))) + 1e-8);
      EXPECT_NEAR(static_cast<double>(p[i]), expected[i], 1e-5);
      EXPECT_NEAR(static_cast<double>(state[i]), m[i], 1e-6);
      EXPECT_NEAR(static_cast<double>(state[2 + i]), v[i], 1e-6);
    }
  }
}

TEST(optimizer, adam_reverts_within_its_tolerance) {
  std::mt19937_64 engine(3);
  auto const real = [&] {
    return static_cast<double>(engine() >> 11U) / 9007199254740992.0 * 2 - 1;
  };
  adam const optimizer;
  constexpr std::size_t size = 2000;
  std::vector<float> p(size), state(2 * size, 0);
  for (auto& x : p) x = static_cast<float>(real());
  double worst_parameter = 0, worst_mean = 0;
  for (std::int64_t t = 1; t <= 40; ++t) {
    std::vector<float> gradient(size);
    for (std::size_t i = 0; i < size; ++i)  // of all sizes, some of them nothing
      gradient[i] = i % 7 == 0
                        ? 0.0F
                        : static_cast<float>(real() * std::pow(10.0, -static_cast<double>(i % 6)));
    auto const p0 = p, s0 = state;
    optimizer(p, state, gradient, t);
    auto p1 = p, s1 = state;
    optimizer.revert(p1, s1, gradient, t);
    for (std::size_t i = 0; i < size; ++i) {
      worst_parameter = std::max(worst_parameter, static_cast<double>(std::abs(p1[i] - p0[i])));
      for (auto const k : {i, size + i})
        worst_mean = std::max(worst_mean, static_cast<double>(std::abs(s1[k] - s0[k])));
    }
  }
  RecordProperty("worst_parameter_over_rate_e9",
                 std::to_string(worst_parameter / static_cast<double>(optimizer.rate) * 1e9));
  EXPECT_GT(worst_parameter, 0) << "the inverse would be exact";
  EXPECT_LT(worst_parameter, adam::revert_error * static_cast<double>(optimizer.rate));
  EXPECT_LT(worst_mean, 1e-6);
}

TEST(optimizer, sgd_gathers_momentum) {
  sgd const optimizer{.rate = 0.5F, .momentum = 0.5F};
  std::vector<float> p{1}, state{0};
  optimizer(p, state, std::vector<float>{1}, 1);
  EXPECT_EQ(p[0], 0.5F);
  optimizer(p, state, std::vector<float>{1}, 2);
  EXPECT_EQ(p[0], -0.25F);
}

}  // namespace
}  // namespace shunt::tests::optimizer_test
