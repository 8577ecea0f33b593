#include "shunt/simulate/detail/lanes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::lanes_test {
namespace {

using namespace detail;

TEST(lanes, a_rank_with_one_lane_needs_no_table) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}})
    for (int n = 0; n < 3; ++n)
      b.fill(r, {0, 0, 8}, {.lane = static_cast<std::uint8_t>(r.value())});
  lanes const l(b.peek());
  EXPECT_FALSE(l.several(0) || l.several(1));
  EXPECT_TRUE(l.waits().empty());
  EXPECT_FALSE(l.share_links());
}

TEST(lanes, instructions_follow_along_lanes_and_waits) {
  program_builder b(2);
  b.fill(0, {0, 0, 8});
  auto const first = b.fill(1, {0, 0, 8});              // number 1
  b.fill(1, {0, 0, 8}, {.lane = 1, .after = {first}});  // 2
  auto const third = b.fill(1, {0, 0, 8});              // 3
  b.fill(1, {0, 0, 8}, {.lane = 1, .after = {third}});  // 4
  lanes const l(b.peek());
  EXPECT_FALSE(l.several(0));
  EXPECT_TRUE(l.several(1));
  EXPECT_EQ(l.waits(), (std::vector<std::int32_t>{0, 0, 1, 1, 2}));
  EXPECT_TRUE(std::ranges::equal(l.next(1), std::vector<std::int32_t>{2, 3}));
  EXPECT_TRUE(std::ranges::equal(l.next(2), std::vector<std::int32_t>{4}));
  EXPECT_TRUE(l.next(4).empty());
}

TEST(lanes, share_a_link_where_two_send_to_one_peer) {
  auto const shared = [](rank_id second) {
    program_builder b(3);
    b.send(0, 1, {0, 0, 8});
    b.send(0, second, {0, 0, 8}, 0, {.lane = 1});
    return lanes(b.peek()).share_links();
  };
  EXPECT_TRUE(shared(1));
  EXPECT_FALSE(shared(2));
}

}  // namespace
}  // namespace shunt::tests::lanes_test
