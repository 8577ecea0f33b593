#include <gtest/gtest.h>

#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::one_f_one_b_test {
namespace {

TEST(one_f_one_b, fills_the_warm_up) {
  auto const plan = one_f_one_b{}.order({.stages = 3, .microbatches = 4});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 F2 B0 F3 B1 B2 B3 S");
  EXPECT_EQ(short_form(plan, 1), "F0 F1 B0 F2 B1 F3 B2 B3 S");
  EXPECT_EQ(short_form(plan, 2), "F0 B0 F1 B1 F2 B2 F3 B3 S");
}

TEST(one_f_one_b, a_cap_shortens_the_warm_up) {
  auto const plan =
      one_f_one_b{}.order({.stages = 3, .microbatches = 4, .memory = stash_cap::per_worker(2)});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 B0 F2 B1 F3 B2 B3 S");
}

}  // namespace
}  // namespace shunt::tests::one_f_one_b_test
