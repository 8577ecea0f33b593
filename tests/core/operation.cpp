#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "shunt/core/operation.hpp"

namespace shunt::tests::operation_test {
namespace {

TEST(operation, kinds_have_names_of_their_own) {
  std::set<std::string_view> names;
  for (int k = 0; k < op_kinds; ++k) names.insert(to_string(static_cast<op_kind>(k)));
  EXPECT_EQ(names.size(), 17u);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(static_cast<op_kind>(200)), "unknown");
}

TEST(operation, is_ordered_by_kind_then_pipeline_then_stage_then_microbatch) {
  operation const o{op_kind::backward, 1, 2, 3};
  EXPECT_LT((operation{op_kind::forward, 9, 9, 9}), o);
  EXPECT_LT((operation{op_kind::backward, 0, 9, 9}), o);
  EXPECT_LT((operation{op_kind::backward, 1, 1, 9}), o);
  EXPECT_LT((operation{op_kind::backward, 1, 2, 2}), o);
  EXPECT_EQ((operation{op_kind::backward, 1, 2, 3}), o);
}

}  // namespace
}  // namespace shunt::tests::operation_test
