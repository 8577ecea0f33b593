#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "shunt/check/pipeline_violation.hpp"

namespace shunt::tests::pipeline_violation_test {
namespace {

TEST(pipeline_violation, every_rule_has_a_name_of_its_own) {
  std::set<std::string_view> names;
  for (int k = 0; k <= static_cast<int>(pipeline_rule::early_step); ++k)
    names.insert(to_string(static_cast<pipeline_rule>(k)));
  EXPECT_EQ(names.size(), 28u);
  EXPECT_FALSE(names.contains("unknown rule"));
}

TEST(pipeline_violation, a_line_says_where_and_what) {
  EXPECT_EQ(describe(operation{op_kind::backward, 2, 1, 5}),
            "backward of micro-batch 2:5 at stage 1");
  EXPECT_EQ(describe(operation{.kind = op_kind::step, .stage = 3}), "step at stage 3");
  pipeline_violation const late{.rule = pipeline_rule::dependency,
                                .worker = {2, 0},
                                .index = 4,
                                .operation = {op_kind::forward, 2, 0, 1},
                                .related = {op_kind::forward, 2, 1, 1},
                                .count = 25,
                                .limit = 26};
  EXPECT_EQ(
      to_string(late),
      "dependency: worker 2:0, operation 4 (forward of micro-batch 2:1 at stage 0): starts at "
      "25, what it needs from the forward of micro-batch 2:1 at stage 1 is there at 26");
}

}  // namespace
}  // namespace shunt::tests::pipeline_violation_test
