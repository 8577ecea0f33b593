#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "shunt/device/swift_moe_layers.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/emulated_kernels.hpp"
#include "support/random_layers.hpp"

namespace shunt::tests::swift_moe_layers_test {
namespace {

using namespace emulated_kernels;

TEST(swift_moe_layers, is_the_hosts_answer) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 4000; ++i) {
    auto const p = random_layers(random, 2, i % 8 == 0 ? 300 : 20, 12);
    auto const host = shunt::swift_moe{}(p).plan;
    auto const size = team_sizes[random() % 4];
    auto const device = swift_moe_on_device(p, size, static_cast<std::uint32_t>(random()));
    ASSERT_EQ(device.expert_of, values_of(host.expert_of)) << "case " << i;
    ASSERT_EQ(device.replicas, counts_of(host)) << "case " << i;
  }
}

}  // namespace
}  // namespace shunt::tests::swift_moe_layers_test
