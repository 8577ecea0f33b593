#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/eplb_layers.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/emulated_kernels.hpp"
#include "support/random_cases.hpp"
#include "support/random_layers.hpp"

namespace shunt::tests::eplb_layers_test {
namespace {

using namespace emulated_kernels;

TEST(eplb_layers, is_the_hosts_answer) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 4000; ++i) {
    auto const p = random_layers(random, 2, i % 8 == 0 ? 200 : 20, i % 5 == 0 ? 80 : 12);
    auto const host = shunt::eplb{}(p).plan;
    auto const size = team_sizes[random() % 4];
    auto const device =
        eplb_on_device(p, host.first_slot, size, static_cast<std::uint32_t>(random()));
    ASSERT_EQ(device.expert_of, values_of(host.expert_of)) << "case " << i;
    ASSERT_EQ(device.replicas, counts_of(host)) << "case " << i;
  }
}

/// Groups of experts bound to nodes, some of them too large for any.
TEST(eplb_layers, within_nodes_is_the_hosts_answer) {
  std::mt19937_64 random(15);
  int refused = 0, solved = 0;
  for (int i = 0; i < 3000; ++i) {
    auto p = random_layers(random, 1, i % 8 == 0 ? 100 : 20, 12);
    p.groups = static_cast<std::int32_t>(1 + below(random, std::min(p.experts, 9)));
    p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, p.ranks()));
    for (int more = 0; more < i % 3; ++more)
      for (auto& s : p.slots_per_rank) s += 2;
    std::vector<std::int32_t> first_slot{0};
    for (auto const s : p.slots_per_rank) first_slot.push_back(first_slot.back() + s);
    auto const host = shunt::eplb{}(p);
    auto const size = team_sizes[random() % 4];
    auto const device = eplb_on_device(p, first_slot, size, static_cast<std::uint32_t>(random()));
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

/// The size that the targets name: 256 experts on 288 slots of 32 ranks.
TEST(eplb_layers, the_targets_layer) {
  std::mt19937_64 random(14);
  shunt::expert_layers p{
      .layers = 4, .experts = 256, .loads = {}, .slots_per_rank = std::vector<std::int32_t>(32, 9)};
  for (std::int32_t i = 0; i < p.layers * p.experts; ++i)
    p.loads.push_back(static_cast<std::int64_t>(1) << (random() % 14));
  auto const s = shunt::swift_moe{}(p).plan, e = shunt::eplb{}(p).plan;
  EXPECT_EQ(swift_moe_on_device(p, 256, 0).expert_of, values_of(s.expert_of));
  EXPECT_EQ(eplb_on_device(p, e.first_slot, 256, 0).expert_of, values_of(e.expert_of));
}

}  // namespace
}  // namespace shunt::tests::eplb_layers_test
