#include "shunt/check/program_order.hpp"

#include <gtest/gtest.h>

#include "shunt/program/builder.hpp"

namespace shunt::tests::program_order_test {
namespace {

TEST(program_order, one_lane_is_in_order) {
  program_builder b(1);
  for (int n = 0; n < 3; ++n) b.fill(0, {0, 0, 8}, {.lane = 4});
  lane_order const order(b.peek().ranks[0]);
  EXPECT_TRUE(order.total());
  EXPECT_TRUE(order.before(0, 2));
}

TEST(program_order, lanes_are_tied_by_waits_alone) {
  program_builder b(1);
  auto const first = b.fill(0, {0, 0, 8});
  auto const other = b.fill(0, {0, 0, 8}, {.lane = 1});
  auto const later = b.fill(0, {0, 0, 8}, {.lane = 1, .after = {first}});
  auto const last = b.fill(0, {0, 0, 8}, {.lane = 2, .after = {later}});
  lane_order const order(b.peek().ranks[0]);
  EXPECT_FALSE(order.total());
  EXPECT_EQ(order.lanes(), 3U);
  EXPECT_EQ(order.lane(later), order.lane(other));
  EXPECT_FALSE(order.before(first, other));
  EXPECT_TRUE(order.before(first, later));
  EXPECT_TRUE(order.before(first, last));  // by way of the one before it
  EXPECT_TRUE(order.before(other, last));
}

TEST(program_order, members_of_a_batch_have_none_among_them) {
  program_builder b(2);
  auto const before = b.fill(0, {0, 0, 8});
  auto const one = b.send(0, 1, {0, 0, 8}, 0, {.batch = 0});
  auto const two = b.send(0, 1, {0, 0, 8}, 1, {.batch = 0});
  auto const after = b.fill(0, {0, 0, 8});
  lane_order const order(b.peek().ranks[0]);
  EXPECT_FALSE(order.before(one, two));
  EXPECT_TRUE(order.before(before, two));
  EXPECT_TRUE(order.before(two, after));
}

}  // namespace
}  // namespace shunt::tests::program_order_test
