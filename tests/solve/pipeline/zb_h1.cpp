#include <gtest/gtest.h>

#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::zb_h1_test {
namespace {

TEST(zb_h1, later_stages_put_their_weights_off) {
  auto const plan = zb_h1{}.order({.stages = 3, .microbatches = 4});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 F2 I0 W0 F3 I1 W1 I2 W2 I3 W3 S");
  EXPECT_EQ(short_form(plan, 2), "F0 I0 F1 I1 F2 I2 W0 F3 I3 W1 W2 W3 S");
}

}  // namespace
}  // namespace shunt::tests::zb_h1_test
