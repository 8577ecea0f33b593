#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/measure/symi_costs.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/collection.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::symi_costs_test {
namespace {

// (X / N) (s N - s) into every rank for gradients and out of every rank for weights, X E / N
// between host and device: SYMI appendix A.2.
TEST(symi_costs, volumes_of_every_rank_are_those_of_the_time_formulas_for_any_two_placements) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 200; ++i) {
    auto const ranks = static_cast<std::int32_t>(1 + below(random, 7)),
               slots = static_cast<std::int32_t>(1 + below(random, 4));
    optimizer_state const state{.experts =
                                    static_cast<std::int32_t>(1 + below(random, ranks * slots)),
                                .ranks = ranks,
                                .elements = ranks * (1 + below(random, 5))};
    std::vector<std::int32_t> const slots_per_rank(static_cast<std::size_t>(ranks), slots);
    auto const now = random_placement_of_any_order(random, 1, state.experts, slots_per_rank);
    auto const next = random_placement_of_any_order(random, 1, state.experts, slots_per_rank);
    auto const map = shunt::uniform_shards{}(state).plan;
    auto const gradient = static_cast<double>(state.elements * state.gradient_bytes);
    auto const weight = static_cast<double>(state.elements * state.weight_bytes);
    shunt::expert_traffic const device{.ranks = static_cast<double>(ranks),
                                       .slots_per_rank = static_cast<double>(slots),
                                       .experts = static_cast<double>(state.experts),
                                       .network_bandwidth = 4};
    auto offloaded = device;
    offloaded.host_bandwidth = 8;
    auto const collected =
        shunt::message_bytes(lower(state, now, map, gradient_collection{.deduplicate = false}));
    auto const scattered =
        shunt::message_bytes(lower(state, next, map, weight_scatter{.deduplicate = false}));
    for (rank_id r : shunt::ids<rank_id>(ranks)) {
      double in = 0, out = 0;
      for (rank_id other : shunt::ids<rank_id>(ranks)) {
        in += static_cast<double>(
            collected[other.index() * static_cast<std::size_t>(ranks) + r.index()]);
        out += static_cast<double>(
            scattered[r.index() * static_cast<std::size_t>(ranks) + other.index()]);
      }
      auto const held = static_cast<double>(shunt::held_elements(map, r));
      EXPECT_NEAR(in / 4, device.decoupled_time(gradient), 1e-9);
      EXPECT_NEAR(out / 4, device.decoupled_time(weight), 1e-9);
      EXPECT_NEAR(in / 4 + held * state.gradient_bytes / 8, offloaded.decoupled_time(gradient),
                  1e-9);
      EXPECT_NEAR(out / 4 + held * state.weight_bytes / 8, offloaded.decoupled_time(weight), 1e-9);
    }
  }
}

TEST(symi_costs, volumes_of_static_replicas_are_those_of_their_formula) {
  std::int32_t const ranks = 8, slots = 2,
                     experts = 4;  // expert-parallel groups of two ranks, four replicas an expert
  optimizer_state const state{.experts = experts, .ranks = ranks, .elements = 12};
  expert_placement placement{.layers = 1, .experts = experts};
  for (std::int32_t r = 0; r < ranks; ++r) {
    placement.first_slot.push_back((r + 1) * slots);
    for (std::int32_t k = 0; k < slots; ++k) placement.expert_of.emplace_back(r % 2 * slots + k);
  }
  auto const map = shunt::replica_shards{.placement = placement}(state).plan;
  shunt::expert_traffic const t{.ranks = ranks,
                                .slots_per_rank = slots,
                                .experts = experts,
                                .network_bandwidth = 1,
                                .host_bandwidth = 2};
  auto const collected =
      shunt::message_bytes(lower(state, placement, map, gradient_collection{.deduplicate = false}));
  for (std::size_t r = 0; r < ranks; ++r) {
    double in = 0;
    for (std::size_t other = 0; other < ranks; ++other)
      in += static_cast<double>(collected[other * ranks + r]);
    auto const held = static_cast<double>(shunt::held_elements(map, rank_id{r}));
    EXPECT_DOUBLE_EQ(in + held * state.gradient_bytes / 2,
                     t.static_time(12.0 * state.gradient_bytes));
  }
}

TEST(symi_costs, formulas_of_the_papers_example) {
  // GPT3-175B: G = W = 3.375 GB, O = 27 GB, E = 64, s = 2, N = 2048, 64 GB/s to the host, 50 GB/s
  // between nodes
  shunt::expert_traffic const t{.ranks = 2048,
                                .slots_per_rank = 2,
                                .experts = 64,
                                .gradient_bytes = 3.375,
                                .weight_bytes = 3.375,
                                .state_bytes = 27,
                                .network_bandwidth = 50,
                                .host_bandwidth = 64};
  EXPECT_EQ(t.gradient_volume() + t.weight_volume(), 27.0 * 1024);  // 27 TB
  EXPECT_NEAR(t.static_time(3.375) * 2, 0.26908, 5e-6);
  EXPECT_NEAR(t.decoupled_time(3.375) * 2, 0.27316, 5e-6);
  EXPECT_NEAR(t.overhead(), 0.015189, 5e-7);
  EXPECT_NEAR(t.overhead(), t.decoupled_time(1) / t.static_time(1) - 1, 1e-12);
  EXPECT_EQ(t.state_per_rank() * 2048, 64 * 27);
  auto in_device_memory = t;
  in_device_memory.host_bandwidth = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(in_device_memory.overhead(), 0.015377, 5e-7);
  EXPECT_NEAR(in_device_memory.overhead(),
              in_device_memory.decoupled_time(1) / in_device_memory.static_time(1) - 1, 1e-12);
  shunt::expert_traffic const testbed{.ranks = 16,
                                      .slots_per_rank = 4,
                                      .experts = 16,
                                      .network_bandwidth = 12.5,
                                      .host_bandwidth = 32};
  EXPECT_NEAR(testbed.overhead(), 0.22, 0.005);
  shunt::expert_traffic one_box{
      .ranks = 8, .slots_per_rank = 2, .experts = 8, .network_bandwidth = 50, .host_bandwidth = 64};
  EXPECT_NEAR(one_box.overhead(), 0.42, 0.005);
  one_box.host_bandwidth = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(one_box.overhead(), 0.75, 1e-12);
}

TEST(symi_costs, interval_groups) {
  EXPECT_EQ(shunt::interval_groups(8), 28);
  EXPECT_EQ(shunt::interval_groups(16), 120);
  EXPECT_EQ(shunt::interval_groups(64), 2016);
  EXPECT_EQ(shunt::interval_groups(2048), 2096128);
}

}  // namespace
}  // namespace shunt::tests::symi_costs_test
