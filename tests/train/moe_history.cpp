#include "shunt/train/moe_history.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace shunt::tests::moe_history_test {
namespace {

moe_training const one_rank{.ranks = 1, .tokens = 100};

/// One layer, two experts: 30 iterations, from the eighth on one expert gets all tokens.
std::vector<moe_record> records() {
  std::vector<moe_record> all;
  for (int t = 0; t < 30; ++t)
    all.push_back({.loss = 30.0 - t, .loads = {t < 7 ? 40 : 0, t < 7 ? 60 : 100}, .dropped = {t}});
  return all;
}

TEST(moe_history, losses_are_smoothed) {
  auto const all = records();
  EXPECT_DOUBLE_EQ(smoothed_losses(all).front(), 30);
  EXPECT_DOUBLE_EQ(smoothed_losses(all).back(), 5.5);
  EXPECT_EQ(iterations_to(all, 5.5), 30U);
  EXPECT_EQ(iterations_to(all, 6.6), 29U);
  EXPECT_EQ(iterations_to(all, 5), std::nullopt);
}

TEST(moe_history, loads_and_drops) {
  auto all = records();
  EXPECT_EQ(skewed_from(one_rank, all), 7U);
  EXPECT_DOUBLE_EQ(dropped_share(one_rank, all, 28), 0.285);
  EXPECT_EQ(dropped_share(one_rank, all, 30), 0);
  EXPECT_EQ(hottest(one_rank, all[8]).expert, 1);
  EXPECT_DOUBLE_EQ(hottest(one_rank, all[0]).share, 0.6);
  EXPECT_TRUE(drops_tokens(all));
  all.resize(2);
  EXPECT_EQ(skewed_from(one_rank, all), std::nullopt);
  all.resize(1);
  EXPECT_FALSE(drops_tokens(all));
  moe_record const two_layers{.loads = {1, 2, 9, 9, 3, 0}, .dropped = {0, 50}};
  EXPECT_EQ(hottest(one_rank, two_layers).layer, 0);
  EXPECT_EQ(hottest(one_rank, two_layers).expert, 2);
  EXPECT_DOUBLE_EQ(dropped_share(one_rank, two_layers), 0.25);
}

TEST(moe_history, balance_and_bytes) {
  std::vector<moe_record> all(2);
  for (auto& r : all) {
    r.loads = {4, 4};
    r.dropped = {0};
    r.fullest = {6};
    r.live = 2;
    r.gradients = {10, 10, 8, 6, 7};
    r.weights = {5, 5, 4, 3, 2};
  }
  EXPECT_DOUBLE_EQ(mean_balance(all, 0), 1.5);
  EXPECT_EQ(mean_balance(all, 2), 0);
  EXPECT_EQ(total_bytes(all, &moe_record::gradients), (phase_bytes{20, 20, 16, 12, 14}));
  EXPECT_TRUE(bytes_hold(all));
  all[1].weights.counted = 6;
  EXPECT_FALSE(bytes_hold(all));
}

TEST(moe_history, work_of_a_layer) {
  moe_training const training{.ranks = 2, .slots_per_rank = 2, .tokens = 8};
  moe_record const r{.loads = {4, 4, 4, 4},
                     .dropped = {0},
                     .fullest = {9},
                     .exchanged = {5},
                     .hosted = {4},
                     .received = {1},
                     .gradients = {.formula = 400, .deduplicated = 100},
                     .weights = {.formula = 200, .deduplicated = 25}};
  EXPECT_EQ(layer_work(training, r, 0, optimizer_place::decoupled, 128),
            (moe_layer_work{.computed = 144,
                            .exchanged = 80,
                            .gradients = 1,  // 100 of 400 bytes of 4 slots
                            .weights = 0.5,  // 25 of 200
                            .received = 1}));
  EXPECT_EQ(layer_work(training, r, 0, optimizer_place::tied, 8),
            (moe_layer_work{.computed = 9, .exchanged = 5, .received = 1}));
  auto with_sources = training;
  with_sources.sources = source_capacity{.factor = {1, 1}, .min_capacity = 4};
  // groups of 2 ranks, 4 experts, room for 4 tokens: half of 16 leave
  EXPECT_EQ(layer_work(with_sources, r, 0, optimizer_place::tied, 8).exchanged, 8);
}

TEST(moe_history, losses_and_loads) {
  auto all = records();
  all.resize(2);
  EXPECT_EQ(losses_of(all), (std::vector<double>{30, 29}));
  EXPECT_EQ(load_series_of(all),
            (load_series{.layers = 1, .experts = 2, .loads = {40, 60, 40, 60}}));
}

}  // namespace
}  // namespace shunt::tests::moe_history_test
