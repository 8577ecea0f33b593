#include <gtest/gtest.h>

#include <type_traits>

#include "shunt/core/id.hpp"

namespace shunt::tests::id_test {
namespace {

static_assert(!std::is_convertible_v<stage_id, rank_id> &&
              !std::is_constructible_v<rank_id, stage_id>);
static_assert(!std::is_convertible_v<rank_id, int> && std::is_convertible_v<int, rank_id>);
static_assert(!std::is_constructible_v<rank_id, double>);

TEST(id, counts_from_zero_and_up_and_down) {
  expert_id e;
  EXPECT_EQ(e.value(), 0);
  ++e;
  EXPECT_EQ((++e).index(), 2u);
  EXPECT_EQ((--e).value(), 1);
}

TEST(id, is_ordered_by_its_number) {
  EXPECT_LT(rank_id{-1}, rank_id{0});
  EXPECT_GT(rank_id{7}, rank_id{6});
  EXPECT_EQ(rank_id{3}, 3);
}

}  // namespace
}  // namespace shunt::tests::id_test
