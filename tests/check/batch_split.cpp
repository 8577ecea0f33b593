#include "shunt/check/batch_split.hpp"

#include <gtest/gtest.h>

#include "support/text.hpp"

namespace shunt::tests::batch_split_check {
namespace {

TEST(batch_split, each_rule_is_broken_alone) {
  batch_problem const problem{.templates = {{.count = 2, .time = 1, .stages = {{1, 1}}},
                                            {.count = 1, .time = 1, .stages = {{1, 1}}}},
                              .batch = 6};
  EXPECT_EQ(lines(check(problem, {{{2, 2}, {2}}})), "");
  EXPECT_EQ(lines(check(problem, {{{2, 2}}})), "templates: found 1, wanted 2\n");
  EXPECT_EQ(lines(check(problem, {{{4}, {2}}})), "template 0, pipelines: found 1, wanted 2\n");
  EXPECT_EQ(lines(check(problem, {{{4, 0}, {2}}})),
            "template 0, micro-batches: found 0, wanted 1\n");
  EXPECT_EQ(lines(check(problem, {{{4, 1}, {2}}})), "all micro-batches: found 7, wanted 6\n");
}

}  // namespace
}  // namespace shunt::tests::batch_split_check
