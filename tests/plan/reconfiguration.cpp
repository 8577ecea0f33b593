#include "shunt/plan/reconfiguration.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::reconfiguration_test {
namespace {

TEST(reconfiguration, is_a_value) {
  reconfiguration const plan{.pipelines = {{0, 1}, {2}},
                             .copies = {{.layer = 3, .from = 0, .to = {2}}},
                             .lost_layers = {},
                             .published_stops = {1}};
  auto other = plan;
  EXPECT_EQ(other, plan);
  other.copies[0].to.push_back(1);
  EXPECT_NE(other, plan);
}

}  // namespace
}  // namespace shunt::tests::reconfiguration_test
