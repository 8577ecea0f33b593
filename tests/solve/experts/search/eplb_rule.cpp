#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/solve/experts/search/eplb_rule.hpp"

namespace shunt::tests::eplb_rule_test {
namespace {

using namespace detail;

TEST(eplb_rule, replicates_the_largest_share_and_places_on_the_lightest_rank) {
  std::vector<std::int32_t> const slots{2, 2};
  eplb_rule rule(3, slots);
  std::vector<std::int64_t> const loads{90, 40, 20};
  std::vector<expert_id> const names{7, 8, 9};
  std::vector<expert_id> placed(4);
  rule(loads, names, placed);
  EXPECT_EQ(rule.total(), 150);
  EXPECT_EQ(rule.largest_share(), 45);
  EXPECT_EQ(std::vector<double>(rule.rank_loads().begin(), rule.rank_loads().end()),
            (std::vector<double>{85, 65}));
  // 45 to rank 0, 45 to rank 1, 40 to rank 0, 20 to rank 1
  EXPECT_EQ(placed, (std::vector<expert_id>{7, 8, 7, 9}));
}

}  // namespace
}  // namespace shunt::tests::eplb_rule_test
