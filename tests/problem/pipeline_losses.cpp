#include "shunt/problem/pipeline_losses.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/refusals.hpp"

namespace shunt::tests::pipeline_losses_test {
namespace {

TEST(pipeline_losses, refuse_what_can_not_be) {
  std::string text;
  auto const field = [&](pipeline_losses const& losses) {
    return field_of([&] { validate(losses); }, &text);
  };
  EXPECT_EQ(field({.pipelines = {{0, 1}, {2, 3}}, .lost = {3}}), "nothing thrown");
  EXPECT_EQ(field({.pipelines = {{0, 1}, {2, 3}}, .lost = {4}}), "lost[0]");
  EXPECT_EQ(text, "lost[0]: is rank 4, which is in no pipeline");
  EXPECT_EQ(field({.pipelines = {{0, 1}, {2, 3}}, .lost = {1, 1}}), "lost[1]");
  EXPECT_EQ(text, "lost[1]: names rank 1 for the second time");
  EXPECT_EQ(field({.pipelines = {{0, 1}, {1}}}), "pipelines[1][0]");
  EXPECT_EQ(field({.pipelines = {{0, 1}, {}}}), "pipelines[1]");
  EXPECT_EQ(field({.pipelines = {{-1}}}), "pipelines[0][0]");
  EXPECT_EQ(field({}), "pipelines");
  EXPECT_EQ(field({.pipelines = {{0}}, .minimum = 0}), "minimum");
  EXPECT_EQ(field({.pipelines = {{0}}, .ranks_per_node = -1}), "ranks_per_node");
}

}  // namespace
}  // namespace shunt::tests::pipeline_losses_test
