#include "shunt/measure/layer_bounds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::layer_bounds_test {
namespace {

TEST(layer_bounds, known_values) {
  // One rank works without a pause.
  EXPECT_EQ(makespan_bound(layers_of({{1, 2, 3}, {4, 5, 6}}, 1, 7)), 147);
  // Two equal layers on two ranks: 3 M + 1, zero bubble.
  EXPECT_EQ(makespan_bound(layers_of({{1, 1, 1}, {1, 1, 1}}, 2, 8)), 25);
  // A heavy last layer waits for one forward of all layers before it.
  EXPECT_EQ(makespan_bound(layers_of({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {10, 10, 10}}, 2, 4)), 123);
  // One micro-batch: there, back and the last gradient.
  EXPECT_EQ(makespan_bound(layers_of({{1, 2, 3}, {4, 5, 6}}, 2, 1, 10)), 35);
  // Five layers of 3 on two ranks: one has three of them.
  EXPECT_GE(
      makespan_bound(layers_of({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, 2, 9)), 81);
  // 30 layers of 3 and a loss of 9 are 33 units of 3: one of 8 ranks has 5 of them.
  std::vector<std::vector<ticks>> loss(31, {1, 1, 1});
  loss.back() = {3, 3, 3};
  EXPECT_EQ(makespan_bound(layers_of(loss, 8, 50)), 50 * 15);
  // Layers of 22 and twelve times 6 ticks. Ranks start at 0, 20, 22 and 24 at the earliest and hold
  // even numbers of ticks: in less than 406 at most 24 + 24 + 22 + 22 of the 94.
  std::vector<std::vector<ticks>> slow_first(13, {2, 2, 2});
  slow_first[0] = {20, 1, 1};
  EXPECT_EQ(makespan_bound(layers_of(slow_first, 4, 16)), 22 + 16 * 24);
  // Without backward_weights ranks idle at both ends: three forwards there, three inputs back.
  EXPECT_EQ(makespan_bound(layers_of(std::vector<std::vector<ticks>>(4, {1, 1, 0}), 4, 4)), 14);
  // 9, 9, 8, 6, 6, 6 are 44 ticks, but no layers of 22: a rank has 23 at least.
  EXPECT_GE(makespan_bound(layers_of(
                {{3, 3, 3}, {2, 2, 2}, {3, 3, 3}, {2, 2, 2}, {4, 2, 2}, {2, 2, 2}}, 2, 100)),
            2'300);
  auto job = layers_of({{1, 1, 1}, {1, 1, 1}}, 2, 8);
  job.layers[0].activation_bytes = 5, job.layers[0].state_bytes = 20, job.memory = 25;
  EXPECT_EQ(makespan_bound(job), 40);  // one stash at a time: 8 x (there and back)
}

// Every assignment of layers to ranks, contiguous or not, in every order of layer operations: a
// cut into stages only makes layers wait longer.
TEST(layer_bounds, no_order_of_layers_on_any_ranks_takes_less) {
  random_cases random(7);
  std::int64_t tight = 0, cases = 0;
  for (int n = 0; n < 120; ++n) {
    auto const layers = random.roll(2, 4), ranks = random.roll(1, std::min(layers, 3));
    auto job = random_layers(random, layers, ranks, random.roll(1, 6 - layers), n % 2 == 0 ? 4 : 12,
                             random.roll(1, 3));
    job.transfer = n % 3 == 0 ? random.roll(1, 5) : 0;
    for (auto& l : job.layers) {
      if (n % 4 == 0 || (n % 4 == 1 && random.roll(0, 3) == 0)) l.backward_weight = 0;
      if (n % 4 == 1 && random.roll(0, 5) == 0) l.backward_input = 0;
      if (n % 4 == 1 && random.roll(0, 5) == 0) l.forward = 0;
    }
    auto const bound = makespan_bound(job);
    ticks least = bound + 1;
    std::vector<every_order::stage> stages;
    std::function<void(std::size_t)> const assign = [&](std::size_t used) {
      if (stages.size() == job.layers.size()) {
        if (used == static_cast<std::size_t>(ranks))
          least = std::min(least, every_order(stages, job.microbatches, job.transfer).least(least));
        return;
      }
      auto const& own = job.layers[stages.size()];
      for (std::size_t r = 0; r < std::min(used + 1, static_cast<std::size_t>(ranks)); ++r) {
        stages.push_back({own.forward, own.backward_input, own.backward_weight, r});
        assign(std::max(used, r + 1));
        stages.pop_back();
      }
    };
    assign(0);
    EXPECT_GE(least, bound) << "case " << n;
    tight += bound == least;
    ++cases;
  }
  EXPECT_GE(4 * tight, 3 * cases) << tight << " of " << cases << " are tight";
}

// The least work of the fullest rank over every assignment of layers to ranks, by itself.
TEST(layer_bounds, of_many_micro_batches_are_below_every_assignment_of_layers) {
  random_cases random(17);
  for (int n = 0; n < 60; ++n) {
    auto const layers = random.roll(3, 8), ranks = random.roll(2, 3);
    auto const job = random_layers(random, layers, ranks, 1'000, 6, random.roll(1, 4));
    std::vector<ticks> held(static_cast<std::size_t>(ranks), 0);
    ticks least = std::numeric_limits<ticks>::max();
    std::function<void(std::size_t)> const assign = [&](std::size_t l) {
      if (l == job.layers.size()) {
        least = std::min(least, *std::max_element(held.begin(), held.end()));
        return;
      }
      auto const& own = job.layers[l];
      for (auto& h : held) {
        h += own.forward + own.backward_input + own.backward_weight;
        assign(l + 1);
        h -= own.forward + own.backward_input + own.backward_weight;
      }
    };
    assign(0);
    ticks way = 0;  // all of one micro-batch, which any order can add at either end
    for (auto const& l : job.layers) way += l.forward + l.backward_input + l.backward_weight;
    EXPECT_LE(makespan_bound(job), 1'000 * least + 2 * way) << n;
  }
}

TEST(layer_bounds, scale_with_the_costs) {
  random_cases random(3);
  for (int n = 0; n < 50; ++n) {
    auto const ranks = random.roll(1, 9), microbatches = random.roll(1, 9);
    auto job = random_layers(random, 9, ranks, microbatches, 20, 5);
    auto const bound = makespan_bound(job);
    for (auto& l : job.layers)
      l.forward *= 1000, l.backward_input *= 1000, l.backward_weight *= 1000;
    EXPECT_EQ(makespan_bound(job), 1000 * bound);
  }
}

TEST(layer_bounds, sums_over_many_ranks_stay_within_64_bits) {
  auto job = layers_of(std::vector<std::vector<ticks>>(100, {std::int64_t{1} << 52, 1, 1}), 100, 1);
  EXPECT_NO_THROW(validate(job));
  EXPECT_GE(makespan_bound(job), std::int64_t{100} << 52);
}

}  // namespace
}  // namespace shunt::tests::layer_bounds_test
