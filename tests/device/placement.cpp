#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "layers.hpp"
#include "shunt/device/eplb_layers.hpp"
#include "shunt/device/swift_moe_layers.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/swift_moe.hpp"

namespace {

using shunt::emulated_team;
using shunt_test::random_layers;
using shunt_test::values_of;

/// Runs what a kernel runs for each layer, with poisoned shared memory of exactly the size asked
/// for.
template <class Layers>
void emulate(Layers const& kernel, std::int32_t layers, std::int32_t threads, std::uint32_t turn) {
  for (std::int32_t l = 0; l < layers; ++l) {
    std::vector<std::uint64_t> shared(static_cast<std::size_t>(kernel.shared_bytes() + 7) / 8,
                                      0xa5a5a5a5a5a5a5a5);
    kernel(emulated_team(threads, turn), l, reinterpret_cast<unsigned char*>(shared.data()));
  }
}

struct placed {
  std::vector<std::int32_t> expert_of, replicas;
};

placed swift_moe(shunt::expert_layers const& p, std::int32_t threads, std::uint32_t turn) {
  placed out{std::vector<std::int32_t>(static_cast<std::size_t>(p.layers * p.slots()), -1),
             std::vector<std::int32_t>(p.loads.size(), -1)};
  emulate(shunt::swift_moe_layers{p.loads.data(), p.experts, p.slots(), out.expert_of.data(),
                                  out.replicas.data()},
          p.layers, threads, turn);
  return out;
}

placed eplb(shunt::expert_layers const& p, std::vector<std::int32_t> const& first_slot,
            std::int32_t threads, std::uint32_t turn) {
  placed out{std::vector<std::int32_t>(static_cast<std::size_t>(p.layers * p.slots()), -1),
             std::vector<std::int32_t>(p.loads.size(), -1)};
  emulate(shunt::eplb_layers{p.loads.data(), p.experts, p.ranks(), p.slots(), first_slot.data(),
                             out.expert_of.data(), out.replicas.data(), p.groups, p.ranks_per_node},
          p.layers, threads, turn);
  return out;
}

std::vector<std::int32_t> counts_of(shunt::expert_placement const& plan) {
  std::vector<std::int32_t> counts;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(plan.layers)) {
    std::vector<std::int32_t> row(static_cast<std::size_t>(plan.experts), 0);
    for (auto const e : plan.layer(l)) ++row[e.index()];
    counts.insert(counts.end(), row.begin(), row.end());
  }
  return counts;
}

constexpr std::int32_t team_sizes[] = {1, 8, 32, 256};

TEST(DevicePlacement, SwiftMoeIsTheHostsAnswer) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 4000; ++i) {
    auto const p = random_layers(random, 2, i % 8 == 0 ? 300 : 20, 12);
    auto const host = shunt::swift_moe{}(p).plan;
    auto const device =
        swift_moe(p, team_sizes[random() % 4], static_cast<std::uint32_t>(random()));
    ASSERT_EQ(device.expert_of, values_of(host.expert_of)) << "case " << i;
    ASSERT_EQ(device.replicas, counts_of(host)) << "case " << i;
  }
}

TEST(DevicePlacement, EplbIsTheHostsAnswer) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 4000; ++i) {
    auto const p = random_layers(random, 2, i % 8 == 0 ? 200 : 20, i % 5 == 0 ? 80 : 12);
    auto const host = shunt::eplb{}(p).plan;
    auto const device =
        eplb(p, host.first_slot, team_sizes[random() % 4], static_cast<std::uint32_t>(random()));
    ASSERT_EQ(device.expert_of, values_of(host.expert_of)) << "case " << i;
    ASSERT_EQ(device.replicas, counts_of(host)) << "case " << i;
  }
}

/// Groups of experts bound to nodes, some of them too large for any.
TEST(DevicePlacement, EplbWithinNodesIsTheHostsAnswer) {
  std::mt19937_64 random(15);
  int refused = 0, solved = 0;
  for (int i = 0; i < 3000; ++i) {
    auto p = random_layers(random, 1, i % 8 == 0 ? 100 : 20, 12);
    p.groups = static_cast<std::int32_t>(1 + shunt_test::below(random, std::min(p.experts, 9)));
    p.ranks_per_node = static_cast<std::int32_t>(1 + shunt_test::below(random, p.ranks()));
    for (int more = 0; more < i % 3; ++more)
      for (auto& s : p.slots_per_rank) s += 2;
    std::vector<std::int32_t> first_slot{0};
    for (auto const s : p.slots_per_rank) first_slot.push_back(first_slot.back() + s);
    auto const host = shunt::eplb{}(p);
    auto const device =
        eplb(p, first_slot, team_sizes[random() % 4], static_cast<std::uint32_t>(random()));
    if (!host.has_plan()) {
      ASSERT_EQ(device.expert_of, std::vector<std::int32_t>(device.expert_of.size(), -1))
          << "case " << i;
      ++refused;
      continue;
    }
    ASSERT_EQ(device.expert_of, values_of(host.plan.expert_of)) << "case " << i;
    ASSERT_EQ(device.replicas, counts_of(host.plan)) << "case " << i;
    solved += p.nodes() > 1;
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(solved, 1000);
}

/// A thread that read what another one writes in the same phase would see other values when turns
/// change.
TEST(DevicePlacement, NoPhaseDependsOnWhoGoesFirst) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 20; ++i) {
    auto const p = random_layers(random, 1, 60, 40);
    auto const first_slot = shunt::eplb{}(p).plan.first_slot;
    auto const a = swift_moe(p, 64, 0), b = eplb(p, first_slot, 64, 0);
    for (std::uint32_t turn = 1; turn < 12; ++turn) {
      auto const c = swift_moe(p, 64, turn * 7), d = eplb(p, first_slot, 64, turn * 7);
      ASSERT_EQ(a.expert_of, c.expert_of) << "case " << i << " turn " << turn;
      ASSERT_EQ(b.expert_of, d.expert_of) << "case " << i << " turn " << turn;
    }
  }
}

/// The size that the targets name: 256 experts on 288 slots of 32 ranks.
TEST(DevicePlacement, TheTargetsLayer) {
  std::mt19937_64 random(14);
  shunt::expert_layers p{
      .layers = 4, .experts = 256, .loads = {}, .slots_per_rank = std::vector<std::int32_t>(32, 9)};
  for (std::int32_t i = 0; i < p.layers * p.experts; ++i)
    p.loads.push_back(static_cast<std::int64_t>(1) << (random() % 14));
  auto const s = shunt::swift_moe{}(p).plan, e = shunt::eplb{}(p).plan;
  EXPECT_EQ(swift_moe(p, 256, 0).expert_of, values_of(s.expert_of));
  EXPECT_EQ(eplb(p, e.first_slot, 256, 0).expert_of, values_of(e.expert_of));
}

}  // namespace
