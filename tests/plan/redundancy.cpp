#include "shunt/plan/redundancy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace shunt::tests::redundancy_plan {
namespace {

TEST(bamboo_plan, shadows_make_a_ring) {
  EXPECT_EQ(shadow_of({2, 3}, 5), (worker{2, 2}));
  EXPECT_EQ(shadow_of({2, 0}, 5), (worker{2, 4}));
  EXPECT_EQ(shadow_of({0, 0}, 1), (worker{0, 0}));
  static_assert(shadow_of({0, 1}, 2) == worker{0, 0});
}

// The steps of the commands that the authors' engine issues for S = 3, M = 3.
TEST(bamboo_plan, steps_of_operations_by_vectors) {
  auto const forward = [](std::int32_t s, std::int32_t m) {
    return lockstep_of({op_kind::forward, 0, s, m}, 3);
  };
  auto const backward = [](std::int32_t s, std::int32_t m) {
    return lockstep_of({op_kind::backward, 0, s, m}, 3);
  };
  std::int64_t const forwards[3][3] = {{0, 2, 4}, {1, 3, 5}, {2, 4, 6}},
                     backwards[3][3] = {{5, 7, 9}, {4, 6, 8}, {3, 5, 7}};
  for (std::int32_t s = 0; s < 3; ++s)
    for (std::int32_t m = 0; m < 3; ++m) {
      EXPECT_EQ(forward(s, m), forwards[s][m]) << s << ' ' << m;
      EXPECT_EQ(backward(s, m), backwards[s][m]) << s << ' ' << m;
    }
}

TEST(bamboo_plan, a_worker_has_one_operation_a_step) {
  for (std::int32_t stages = 1; stages <= 6; ++stages)
    for (std::int32_t s = 0; s < stages; ++s) {
      std::set<std::int64_t> steps;
      for (std::int32_t m = 0; m < 8; ++m)
        for (auto const k : {op_kind::forward, op_kind::backward})
          EXPECT_TRUE(steps.insert(lockstep_of({k, 0, s, m}, stages)).second);
      EXPECT_LT(*steps.rbegin(), 2 * (8 + stages - 1));
    }
}

}  // namespace
}  // namespace shunt::tests::redundancy_plan
