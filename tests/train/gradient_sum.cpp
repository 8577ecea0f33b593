#include "shunt/train/gradient_sum.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "shunt/core/error.hpp"

namespace shunt::tests::gradient_sum_test {
namespace {

std::vector<float> mean_of(element type, std::vector<std::vector<float>> const& terms,
                           std::int64_t* bad = nullptr) {
  std::vector<std::byte> sum(terms.front().size() * static_cast<std::size_t>(size_of(type)));
  std::int64_t count = 0;
  for (auto const& t : terms) count += add_gradient(type, t, sum);
  std::vector<float> mean(terms.front().size());
  count += mean_gradient(type, sum, static_cast<std::int64_t>(terms.size()), mean);
  if (bad) *bad = count;
  return mean;
}

constexpr element all_types[] = {element::int64, element::float32, element::float64,
                                 element::bfloat16, element::float16};

TEST(gradient_sum, every_element_gives_the_mean_within_its_rounding) {
  std::mt19937 random(3);
  std::vector<std::vector<float>> terms(7, std::vector<float>(50));
  std::vector<double> expected(50, 0);
  for (auto& t : terms)
    for (std::size_t i = 0; i < t.size(); ++i) {
      t[i] = static_cast<float>(random()) * 0x1p-32F;
      expected[i] += static_cast<double>(t[i]) / 7;
    }
  for (element const type : all_types) {
    double const unit = type == element::bfloat16  ? 0x1p-8
                        : type == element::float16 ? 0x1p-11
                                                   : 0x1p-23;
    auto const mean = mean_of(type, terms);
    for (std::size_t i = 0; i < mean.size(); ++i)
      EXPECT_NEAR(static_cast<double>(mean[i]), expected[i], 7 * unit * expected[i])
          << to_string(type);
  }
}

TEST(gradient_sum, int64_is_the_same_in_any_order_and_floats_are_not) {
  std::vector<std::vector<float>> const terms{{0.1F}, {60}, {-59.9F}, {3e-5F}},
      others{{60}, {3e-5F}, {0.1F}, {-59.9F}};
  EXPECT_EQ(mean_of(element::int64, terms), mean_of(element::int64, others));
  EXPECT_NE(mean_of(element::float32, terms), mean_of(element::float32, others));
}

TEST(gradient_sum, values_that_do_not_fit_are_counted) {
  constexpr float no = std::numeric_limits<float>::quiet_NaN(),
                  infinite = std::numeric_limits<float>::infinity();
  std::int64_t bad = 0;
  EXPECT_EQ(mean_of(element::int64, {{no, 64, -infinite, 1}}, &bad),
            (std::vector<float>{0, 0, 0, 1}));
  EXPECT_EQ(bad, 3);
  (void)mean_of(element::float32, {{no, 64, infinite, 1}}, &bad);
  EXPECT_EQ(bad, 4);  // two terms, and two means
  (void)mean_of(element::float16, {{60000}, {60000}}, &bad);
  EXPECT_EQ(bad, 1) << "the sum overflows";
}

TEST(gradient_sum, other_elements_are_refused) {
  std::vector<std::byte> sum(8);
  std::vector<float> one(1);
  for (element const type : {element::bytes, element::int32}) {
    EXPECT_THROW((void)add_gradient(type, one, sum), invalid_problem);
    EXPECT_THROW((void)mean_gradient(type, sum, 1, one), invalid_problem);
  }
}

TEST(gradient_sum, a_thousand_terms_of_int64_do_not_depend_on_order) {
  std::mt19937_64 random(3);
  std::vector<float> values(1000);
  for (auto& v : values) v = static_cast<float>(static_cast<double>(random() >> 11U) * 0x1p-50 - 4);
  std::vector<std::byte> up(8), down(8);
  double sum = 0;
  std::span<float const> const all(values);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(add_gradient(element::int64, all.subspan(i, 1), up), 0);
    EXPECT_EQ(add_gradient(element::int64, all.subspan(all.size() - 1 - i, 1), down), 0);
    sum += static_cast<double>(all[i]);
  }
  EXPECT_EQ(up, down);
  std::vector<float> mean(1);
  EXPECT_EQ(mean_gradient(element::int64, up, 1000, mean), 0);
  EXPECT_NEAR(static_cast<double>(mean[0]), sum / 1000, 1e-6);
}

TEST(gradient_sum, values_that_do_not_fit_leave_sums_of_int64_alone) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  std::vector<float> const values{1,
                                  std::nextafter(64.0F, 0.0F),
                                  64,
                                  -64,
                                  infinite,
                                  -infinite,
                                  std::numeric_limits<float>::quiet_NaN(),
                                  -1};
  std::vector<std::int64_t> sums(values.size(), 5);
  EXPECT_EQ(add_gradient(element::int64, values, std::as_writable_bytes(std::span(sums))), 5);
  EXPECT_EQ(sums[0], 5 + (std::int64_t{1} << 40));
  for (std::size_t i = 2; i < 7; ++i) EXPECT_EQ(sums[i], 5);
  EXPECT_EQ(sums[7], 5 - (std::int64_t{1} << 40));
}

}  // namespace
}  // namespace shunt::tests::gradient_sum_test
