#include "shunt/plan/pipeline_instances.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::pipeline_instances_test {
namespace {

TEST(pipeline_instances, is_a_value) {
  pipeline_instances const plan{{{.nodes = 2, .ranks = {0, 1}, .microbatches = 3}}};
  auto other = plan;
  EXPECT_EQ(other, plan);
  other.pipelines[0].ranks[1] = 2;
  EXPECT_NE(other, plan);
}

}  // namespace
}  // namespace shunt::tests::pipeline_instances_test
