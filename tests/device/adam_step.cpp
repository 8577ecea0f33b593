#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/adam_step.hpp"

namespace shunt::tests::adam_step_test {
namespace {

template <class T>
struct aligned_array {
  explicit aligned_array(std::size_t n) : memory(n), size(n) {}
  T* data() { return memory.front().at; }
  std::vector<T> values() { return {data(), data() + size}; }
  std::vector<shunt::detail::vector_of<T>> memory;  // longer than need be
  std::size_t size;
};

struct shards {
  explicit shards(std::size_t n) : weights(n), first(n), second(n) {}
  aligned_array<float> weights, first, second;
  shunt::adam_state state() { return {weights.data(), first.data(), second.data()}; }
  std::vector<std::vector<float>> values() {
    return {weights.values(), first.values(), second.values()};
  }
};

float fraction(std::mt19937_64& random) {
  return static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-53 * 2 - 1);
}

template <class Items>
void emulate(Items const& work, std::int64_t items) {
  for (std::int64_t i = 0; i < items; ++i) work(i);
}

TEST(adam_step, is_the_algorithm_and_can_be_taken_back) {
  std::mt19937_64 random(31);
  for (std::int64_t const elements : {1, 4, 7, 64, 129}) {
    auto const n = static_cast<std::size_t>(elements);
    shards now(n), kept(n);
    aligned_array<std::int64_t> gradient(n);
    aligned_array<float> sent(n);
    shunt::adam_rule const rule{.rate = 3e-3F, .beta2 = 0.99F};
    shunt::adam_clock clock;
    float scale = 1;
    double const unit = 0x1p40 * 12;
    std::vector<float> w(n), m(n, 0), v(n, 0);
    for (std::size_t i = 0; i < n; ++i) now.weights.data()[i] = w[i] = fraction(random);

    for (int t = 1; t <= 40; ++t) {
      for (std::size_t i = 0; i < n; ++i)
        gradient.data()[i] = std::llrint(static_cast<double>(fraction(random)) * unit);
      scale = t % 3 == 0 ? 0.25F : 1;
      emulate(shunt::adam_tick{.rule = rule, .clock = &clock}, 1);
      ASSERT_EQ(clock.update, t);
      ASSERT_FLOAT_EQ(clock.correct1, static_cast<float>(1 / (1 - std::pow(0.9, t))));
      ASSERT_NEAR(clock.correct2, 1 / (1 - std::pow(static_cast<double>(rule.beta2), t)),
                  1e-5 * static_cast<double>(clock.correct2));

      auto const before = now.values();
      shunt::adam_step<std::int64_t> const step{.rule = rule,
                                                .elements = elements,
                                                .state = now.state(),
                                                .gradient = gradient.data(),
                                                .unit = unit,
                                                .clock = &clock,
                                                .scale = &scale,
                                                .kept = kept.state(),
                                                .sent = sent.data()};
      emulate(step, step.items());
      ASSERT_EQ(kept.values(), before);
      for (std::size_t i = 0; i < n; ++i) {  // the paper's lines
        float const g = scale * static_cast<float>(static_cast<double>(gradient.data()[i]) / unit);
        m[i] = rule.beta1 * m[i] + (1 - rule.beta1) * g;
        v[i] = rule.beta2 * v[i] + (1 - rule.beta2) * g * g;
        w[i] -=
            rule.rate * (m[i] * clock.correct1) / (std::sqrt(v[i] * clock.correct2) + rule.epsilon);
      }
      ASSERT_EQ(now.values(), (std::vector<std::vector<float>>{w, m, v})) << "update " << t;
      ASSERT_EQ(sent.values(), w);

      // the word says no: nothing is taken back; it says yes: everything is, and the step can be
      // made again
      std::int64_t word = 0;
      shunt::adam_rollback const back{.elements = elements,
                                      .kept = kept.state(),
                                      .state = now.state(),
                                      .sent = sent.data(),
                                      .condition = &word};
      shunt::adam_tick const untick{.rule = rule, .clock = &clock, .by = -1, .condition = &word};
      auto const after = now.values();
      auto const ticked = clock;
      emulate(back, back.items());
      emulate(untick, 1);
      ASSERT_EQ(now.values(), after);
      ASSERT_EQ(clock.update, t);
      word = 1;
      emulate(back, back.items());
      emulate(untick, 1);
      ASSERT_EQ(now.values(), before);
      ASSERT_EQ(sent.values(), before[0]);
      ASSERT_EQ(clock.update, t - 1);
      emulate(shunt::adam_tick{.rule = rule, .clock = &clock}, 1);
      ASSERT_EQ(clock.correct1, ticked.correct1);
      emulate(step, step.items());
      ASSERT_EQ(now.values(), after);
    }
  }
}

// A float has 24 bits: sums near (k + 1/2) x unit for k of 24 bits lie next to midpoints.
TEST(adam_step, takes_the_mean_of_a_sum_with_the_bits_of_a_division) {
  std::mt19937_64 random(32);
  for (double const terms : {1., 3., 12., 15., 1000., 65537.}) {
    double const value = 0x1p31 * terms;
    shunt::gradient_unit const unit = value;
    auto const expect_division = [&](double sum) {
      ASSERT_EQ(unit.mean(sum), static_cast<float>(sum / value)) << sum << " / " << value;
    };
    for (double const sum :
         {0., 1., -1., 0x1p-150, -0x1p-118, 0x1.8p-120, 0x1p63, -0x1p63, 0x1p200})
      expect_division(sum);
    for (int i = 0; i < 4000; ++i) {
      expect_division(static_cast<double>(static_cast<std::int64_t>(random())));
      auto const mean = static_cast<double>((random() >> 40) | (std::uint64_t{1} << 23)) + 0.5;
      for (std::int64_t step = -20; step <= 20; ++step) {
        auto const bits = __builtin_bit_cast(std::int64_t, mean* value) + step;
        expect_division(__builtin_bit_cast(double, bits));
        expect_division(__builtin_bit_cast(double, bits) * 0x1p-155);  // floats below the normal
      }
    }
  }
}

TEST(adam_step, float_gradients_and_a_word_that_leaves_the_step_out) {
  shards now(6);
  aligned_array<float> gradient(6);
  for (std::size_t i = 0; i < 6; ++i) gradient.data()[i] = 0.5F;
  shunt::adam_clock clock;
  std::int64_t word = 0;
  shunt::adam_rule const rule;
  emulate(shunt::adam_tick{.rule = rule, .clock = &clock}, 1);
  shunt::adam_step<float> const step{.rule = rule,
                                     .elements = 6,
                                     .state = now.state(),
                                     .gradient = gradient.data(),
                                     .clock = &clock,
                                     .condition = &word};
  emulate(step, step.items());
  EXPECT_EQ(now.weights.values(), std::vector<float>(6, 0));
  word = 1;
  emulate(step, step.items());
  for (float const w : now.weights.values())
    EXPECT_NEAR(w, -1e-3F, 1e-6F);  // the first step goes by the rate
}

}  // namespace
}  // namespace shunt::tests::adam_step_test
