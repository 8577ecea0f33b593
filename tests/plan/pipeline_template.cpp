#include "shunt/plan/pipeline_template.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::pipeline_template_test {
namespace {

TEST(pipeline_template, is_found_by_its_nodes) {
  template_set const set{{{.nodes = 2, .stages = {{0, 1, 1}, {1, 3, 1}}}, {.nodes = 4}}};
  ASSERT_NE(set.of(2), nullptr);
  EXPECT_EQ(*set.of(2), set.templates[0]);
  EXPECT_EQ(set.of(4), &set.templates[1]);
  EXPECT_EQ(set.of(3), nullptr);
  EXPECT_EQ(set.of(0), nullptr);
}

}  // namespace
}  // namespace shunt::tests::pipeline_template_test
