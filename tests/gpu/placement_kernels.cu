// Placement and split of all layers in one launch, to the bit what the host's solvers answer.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/cuda/launch.cuh"
#include "shunt/device/eplb_layers.hpp"
#include "shunt/device/split_layers.hpp"
#include "shunt/device/swift_moe_layers.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/device_array.hpp"
#include "support/random_layers.hpp"

namespace {

using shunt::tests::below;
using shunt::tests::device_array;
using shunt::tests::values_of;

class PlacementKernels : public shunt::tests::on_gpu {};

shunt::expert_layers layers_of(std::mt19937_64& random, int i) {
  if (i % 4 != 0) return shunt::tests::random_layers(random, 60, 40, 40);
  shunt::expert_layers p{.layers = 58,
                         .experts = 256,
                         .loads = {},
                         .slots_per_rank = std::vector<std::int32_t>(32, 9)};
  for (std::int32_t k = 0; k < p.layers * p.experts; ++k)
    p.loads.push_back(below(random, std::int64_t{1} << (1 + i / 4 % 20)));
  return p;
}

TEST_F(PlacementKernels, SwiftMoeIsTheHostsAnswer) {
  std::mt19937_64 random(61);
  for (int i = 0; i < 80; ++i) {
    auto const p = layers_of(random, i);
    device_array<std::int64_t> const loads(p.loads);
    device_array<std::int32_t> const placed(static_cast<std::size_t>(p.layers * p.slots()));
    shunt::run_layers(shunt::swift_moe_layers{loads.data(), p.experts, p.slots(), placed.data()},
                      p.layers, stream());
    wait();
    ASSERT_EQ(placed.values(), values_of(shunt::swift_moe{}(p).plan.expert_of)) << "case " << i;
  }
}

/// Over all ranks, and with experts in 8 groups bound to 4 nodes of 8 ranks.
TEST_F(PlacementKernels, EplbIsTheHostsAnswer) {
  std::mt19937_64 random(62);
  for (int i = 0; i < 100; ++i) {
    auto p = layers_of(random, i);
    if (i % 8 == 0) {
      p.groups = 8;
      p.ranks_per_node = 8;
    }
    auto const host = shunt::eplb{}(p).plan;
    device_array<std::int64_t> const loads(p.loads);
    device_array<std::int32_t> const first_slot(host.first_slot),
        placed(static_cast<std::size_t>(p.layers * p.slots()));
    shunt::run_layers(shunt::eplb_layers{.loads = loads.data(),
                                         .experts = p.experts,
                                         .ranks = p.ranks(),
                                         .slots = p.slots(),
                                         .first_slot = first_slot.data(),
                                         .expert_of = placed.data(),
                                         .groups = p.groups,
                                         .ranks_per_node = p.ranks_per_node},
                      p.layers, stream());
    wait();
    ASSERT_EQ(placed.values(), values_of(host.expert_of)) << "case " << i;
  }
}

TEST_F(PlacementKernels, SplitIsTheHostsAnswer) {
  std::mt19937_64 random(63);
  for (int i = 0; i < 40; ++i) {
    auto const p = shunt::tests::random_layers(random, 20, 60, 16);
    auto const plan = shunt::eplb{}(p).plan;
    auto const layers = static_cast<std::size_t>(p.layers),
               ranks = static_cast<std::size_t>(p.ranks());
    auto const experts = static_cast<std::size_t>(p.experts),
               slots = static_cast<std::size_t>(p.slots());
    std::vector<std::int64_t> counts(layers * ranks * experts);
    for (auto& c : counts) c = below(random, 90);
    std::int64_t const capacity = i % 3 == 0 ? shunt::dropless : below(random, 120);

    device_array<std::int64_t> const device_counts(counts), tokens(layers * ranks * slots),
        dropped(layers * ranks * experts), first_row(layers * slots);
    device_array<std::int32_t> const first_slot(plan.first_slot),
        expert_of(values_of(plan.expert_of)), hosted(layers * slots), ends(layers * experts),
        rest(layers * ranks * experts);
    shunt::run_layers(shunt::split_layers{.ranks = p.ranks(),
                                          .experts = p.experts,
                                          .slots = p.slots(),
                                          .capacity = capacity,
                                          .first_slot = first_slot.data(),
                                          .expert_of = expert_of.data(),
                                          .counts = device_counts.data(),
                                          .tokens = tokens.data(),
                                          .dropped = dropped.data(),
                                          .hosted = hosted.data(),
                                          .hosted_end = ends.data(),
                                          .part_rows = 5000,
                                          .first_row = first_row.data(),
                                          .rest = rest.data()},
                      p.layers, stream());
    wait();
    std::vector<std::int64_t> host_tokens, host_dropped;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const row = counts.begin() +
                       static_cast<std::ptrdiff_t>(static_cast<std::size_t>(l) * ranks * experts);
      auto const split =
          shunt::capacity_split{}(
              shunt::routed(plan, l, {row, row + static_cast<std::ptrdiff_t>(ranks * experts)},
                            capacity))
              .plan;
      host_tokens.insert(host_tokens.end(), split.tokens.begin(), split.tokens.end());
      host_dropped.insert(host_dropped.end(), split.dropped.begin(), split.dropped.end());
    }
    ASSERT_EQ(tokens.values(), host_tokens) << "case " << i;
    ASSERT_EQ(dropped.values(), host_dropped) << "case " << i;
  }
}

TEST_F(PlacementKernels, AGraphPlacesWhatTheLoadsAreThen) {
  std::mt19937_64 random(64);
  auto const p = layers_of(random, 0), q = layers_of(random, 4);
  auto const plan = shunt::eplb{}(q).plan;
  device_array<std::int64_t> loads(p.loads);
  device_array<std::int32_t> const first_slot(plan.first_slot), swift(plan.expert_of.size()),
      eplb(plan.expert_of.size());
  launch_captured(
      [&] {
        shunt::run_layers(shunt::swift_moe_layers{loads.data(), p.experts, p.slots(), swift.data()},
                          p.layers, stream());
        shunt::run_layers(shunt::eplb_layers{loads.data(), p.experts, p.ranks(), p.slots(),
                                             first_slot.data(), eplb.data()},
                          p.layers, stream());
      },
      [&](int launch) {
        if (launch == 1) loads.set(q.loads);
      });
  EXPECT_EQ(swift.values(), values_of(shunt::swift_moe{}(q).plan.expert_of));
  EXPECT_EQ(eplb.values(), values_of(plan.expert_of));
}

/// 20,000 experts need more shared memory than any block has: refused in words, and the next launch
/// is fine.
TEST_F(PlacementKernels, ALayerBeyondSharedMemoryIsRefused) {
  device_array<std::int64_t> const loads(std::vector<std::int64_t>(20000, 1));
  device_array<std::int32_t> const placed(20000);
  EXPECT_THROW(shunt::run_layers(shunt::swift_moe_layers{loads.data(), 20000, 20000, placed.data()},
                                 1, stream()),
               shunt::cuda_error);
  shunt::run_layers(shunt::swift_moe_layers{loads.data(), 2, 5, placed.data()}, 1, stream());
  wait();
  auto const head = placed.values();
  EXPECT_EQ((std::vector<std::int32_t>(head.begin(), head.begin() + 5)),
            (std::vector<std::int32_t>{0, 0, 0, 1, 1}));
}

}  // namespace
