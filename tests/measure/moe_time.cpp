#include "shunt/measure/moe_time.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/random_cases.hpp"
#include "support/routed_iterations.hpp"

namespace shunt::tests::moe_time_test {
namespace {

/// SYMI's machines with GPT-Small: 16 ranks of 4 slots, 16 experts of 8 d^2 parameters.
expert_traffic gpt_small() {
  double const weights = 8 * 768.0 * 768 * 2;
  return {.ranks = 16,
          .slots_per_rank = 4,
          .experts = 16,
          .gradient_bytes = weights,
          .weight_bytes = weights,
          .state_bytes = 8 * weights,
          .network_bandwidth = 12.5e9,
          .host_bandwidth = 32e9};
}

TEST(moe_time, a_replaced_rank_costs_2_46_ordinary_iterations) {
  auto const model = calibrated(gpt_small(), 1536);
  // by hand: W = 9,437,184; s (W + O) = 36 W = 339,738,624 bytes, 27.179 ms; over 1.46
  EXPECT_NEAR(ordinary_seconds(gpt_small()), 0.0186158150, 1e-9);
  moe_layer_work work{.computed = 2048, .exchanged = 1920, .gradients = 48, .weights = 48};
  auto const ordinary = model(work, optimizer_place::tied);
  EXPECT_NEAR(ordinary.total(), 0.0186158150, 1e-9);
  EXPECT_NEAR(ordinary.total_by_formula(), ordinary.total(), 1e-12);
  work.received = 4;
  EXPECT_NEAR(model(work, optimizer_place::tied).total() / ordinary.total(), 2.46, 1e-9);
  EXPECT_EQ(model.second_copy_bytes(4), 339738624);
  // state that is not tied moves nothing
  EXPECT_EQ(model(work, optimizer_place::decoupled).migrate, 0);
}

TEST(moe_time, parts_by_hand) {
  moe_time_model const model{.sizes = {.ranks = 4,
                                       .slots_per_rank = 2,
                                       .experts = 4,
                                       .gradient_bytes = 10,
                                       .weight_bytes = 20,
                                       .state_bytes = 100,
                                       .network_bandwidth = 5,
                                       .host_bandwidth = 10},
                             .token_bytes = 3,
                             .token_seconds = 0.5,
                             .fixed_seconds = 7};
  moe_layer_work const work{
      .computed = 6, .exchanged = 10, .gradients = 6, .weights = 2, .received = 1};
  auto const tied = model(work, optimizer_place::tied);
  EXPECT_EQ(tied, (moe_times{.compute = 10,
                             .exchange = 24,
                             .gradient = 1 + 3,
                             .weights = 2 + 2,
                             .migrate = 24,
                             .gradient_formula = 1 + 2,  // (8 - 4) / 4 x 10 / 5
                             .weights_formula = 2 + 4}));
  EXPECT_EQ(tied.total(), 66);
  EXPECT_EQ(tied.total_by_formula(), 67);
  auto const decoupled = model(work, optimizer_place::decoupled);
  EXPECT_EQ(decoupled.gradient_formula, 1 + 3);  // (8 - 2) / 4 x 10 / 5
  EXPECT_EQ(decoupled.weights_formula, 2 + 6);
  EXPECT_EQ(decoupled.migrate, 0);
  auto sum = tied;
  sum += decoupled;
  EXPECT_EQ(sum.total(), tied.total() + decoupled.total());
  EXPECT_EQ(sum.total_by_formula(), tied.total_by_formula() + decoupled.total_by_formula());
}

TEST(moe_time, counted_pairs_are_static_time_where_replicas_have_ranks_of_their_own) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 100; ++i) {
    auto const slots = static_cast<std::int32_t>(1 + below(random, 4)),
               group = static_cast<std::int32_t>(1 + below(random, 4)),
               groups = static_cast<std::int32_t>(1 + below(random, 4));
    std::int32_t const ranks = group * groups, experts = group * slots;
    expert_layers const layers{
        .experts = experts,
        .loads = std::vector<std::int64_t>(static_cast<std::size_t>(experts), 1),
        .slots_per_rank = std::vector<std::int32_t>(static_cast<std::size_t>(ranks), slots)};
    auto const plan = uniform{}(layers).plan;
    auto sizes = gpt_small();
    sizes.ranks = ranks;
    sizes.slots_per_rank = slots;
    sizes.experts = experts;
    double const between = hosted_pairs(plan, 0) - experts;
    auto const found = moe_time_model{.sizes = sizes}({.gradients = between, .weights = between},
                                                      optimizer_place::tied);
    EXPECT_NEAR(found.gradient, found.gradient_formula, 1e-12);
    EXPECT_NEAR(found.weights, found.weights_formula, 1e-12);
  }
}

TEST(moe_time, padded_exchange_by_hand) {
  EXPECT_EQ(padded_exchange(16, 4, 128), 0.75 * 16 * 128);
  EXPECT_EQ(padded_exchange(4, 4, 10), 0);  // every rank has all experts
  EXPECT_EQ(padded_exchange(4, 8, 10), 0);
  EXPECT_EQ(padded_exchange(8, 1, 2), 14);
}

TEST(moe_time, grows_with_its_work_and_scales_with_its_units) {
  auto const model = calibrated(gpt_small(), 1536);
  std::mt19937_64 random(5);
  for (int i = 0; i < 200; ++i) {
    auto const some = [&] { return static_cast<double>(below(random, 1000)); };
    moe_layer_work const work{some(), some(), some(), some(), some()};
    auto more = work;
    more.computed += some();
    more.exchanged += some();
    more.gradients += some();
    more.weights += some();
    more.received += some();
    for (auto const where : {optimizer_place::tied, optimizer_place::decoupled})
      EXPECT_LE(model(work, where).total(), model(more, where).total());
    // bytes and bandwidths in another unit
    auto sizes = gpt_small();
    for (auto* const x : {&sizes.gradient_bytes, &sizes.weight_bytes, &sizes.state_bytes,
                          &sizes.network_bandwidth, &sizes.host_bandwidth})
      *x /= 1024;
    EXPECT_NEAR(calibrated(sizes, 1.5)(work, optimizer_place::tied).total(),
                model(work, optimizer_place::tied).total(), 1e-9);
  }
}

TEST(tied_state, is_what_replica_shards_put_on_the_fullest_rank) {
  std::mt19937_64 random(6);
  for (int i = 0; i < 300; ++i) {
    auto const experts = static_cast<std::int32_t>(1 + below(random, 6)),
               ranks = static_cast<std::int32_t>(1 + below(random, 6));
    auto const placement =
        random_placement_in_order_or_none(random, 1, experts, random_ranks(random, ranks, experts));
    optimizer_state const state{.experts = experts, .ranks = ranks, .elements = 60};
    auto const found = replica_shards{.placement = placement}(state);
    EXPECT_NEAR(tied_state(placement, 0) * 60 * state.state_bytes, found.objective, 1e-6);
  }
}

TEST(moe_time, names_what_is_broken) {
  auto const field = [](auto const& change, moe_calibration by = {}) -> std::string {
    auto sizes = gpt_small();
    double token_bytes = 1536;
    change(sizes, token_bytes, by);
    try {
      static_cast<void>(calibrated(sizes, token_bytes, by));
    } catch (invalid_problem const& e) {
      return e.field();
    }
    return "";
  };
  double const infinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(field([](auto&, auto&, auto&) {}), "");
  EXPECT_EQ(field([&](auto& s, auto&, auto&) { s.host_bandwidth = infinite; }), "");
  EXPECT_EQ(field([](auto& s, auto&, auto&) { s.host_bandwidth = 0; }), "host_bandwidth");
  EXPECT_EQ(field([](auto& s, auto&, auto&) { s.ranks = 0; }), "ranks");
  EXPECT_EQ(field([](auto& s, auto&, auto&) { s.slots_per_rank = -1; }), "slots_per_rank");
  EXPECT_EQ(field([&](auto& s, auto&, auto&) { s.weight_bytes = infinite; }), "weight_bytes");
  EXPECT_EQ(field([](auto& s, auto&, auto&) { s.network_bandwidth = 0; }), "network_bandwidth");
  EXPECT_EQ(field([](auto&, auto& token, auto&) { token = 0; }), "token_bytes");
  EXPECT_EQ(field([](auto&, auto&, auto& by) { by.replacement_ratio = 1; }), "replacement_ratio");
  EXPECT_EQ(field([](auto&, auto&, auto& by) { by.replacement_ratio = 100; }), "replacement_ratio");
  EXPECT_EQ(field([](auto&, auto&, auto& by) { by.token_share = 1.5; }), "token_share");
  EXPECT_EQ(field([](auto&, auto&, auto& by) { by.tokens = -1; }), "tokens");
  EXPECT_EQ(
      field([](auto& s, auto&, auto&) { s.experts = std::numeric_limits<double>::quiet_NaN(); }),
      "experts");
}

}  // namespace
}  // namespace shunt::tests::moe_time_test
