#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <random>

#include "shunt/measure/moved_experts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_policies.hpp"

namespace shunt::tests::moved_experts_test {
namespace {

TEST(moved_experts, received_ones_add_up_to_moved_ones) {
  std::mt19937_64 random(19);
  for (int i = 0; i < 500; ++i) {
    auto const p = random_layers_with_previous(random, 8, true);
    auto const after = shunt::swift_moe{}(p).plan;
    auto before = after;
    before.expert_of = p.previous;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const received = shunt::received_experts(before, after, l).items();
      EXPECT_EQ(std::accumulate(received.begin(), received.end(), 0),
                shunt::moved_experts(p.previous_of(l), after, l));
    }
  }
}

}  // namespace
}  // namespace shunt::tests::moved_experts_test
