#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt::tests::lanes_test {
namespace {

// Two ranks that send a word to each other before they receive one, receives on a lane of their own
// or not.
program crossing(std::uint8_t receive_lane) {
  program_builder b(2);
  for (rank_id r : {0, 1}) {
    b.buffer(r, 8, true);
    b.buffer(r, 8);
    b.send(r, 1 - r.value(), b.all_of(r, 0));
    b.receive(r, 1 - r.value(), b.all_of(r, 1), 0, {.lane = receive_lane});
  }
  return std::move(b).finish();
}

TEST(lanes, transports_that_do_not_buffer_need_lanes_that_do_not_cross) {
  EXPECT_TRUE(check(crossing(0)).empty());
  auto const found = check_rendezvous(crossing(0));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[1].rule, program_rule::rendezvous);
  EXPECT_EQ(found[1].at, (program_point{1, 0}));
  EXPECT_TRUE(check_rendezvous(crossing(1)).empty());
  // both in one batch
  auto together = crossing(0);
  for (auto& own : together.ranks)
    for (auto& i : own.instructions) i.batch = 0;
  EXPECT_TRUE(check_rendezvous(together).empty());
}

TEST(lanes, transports_that_ignore_channels_need_one_order) {
  auto const two = [](bool swapped, std::uint8_t lane) {
    program_builder b(2);
    for (rank_id r : {0, 1})
      for (int k = 0; k < 2; ++k) b.buffer(r, 8, true);
    for (std::int32_t k = 0; k < 2; ++k) {
      std::int32_t const other = swapped ? 1 - k : k;
      b.send(0, 1, b.all_of(0, k), k, {.lane = k == 1 ? lane : std::uint8_t{0}});
      b.receive(1, 0, b.all_of(1, other), other);
    }
    return std::move(b).finish();
  };
  EXPECT_TRUE(check(two(false, 0)).empty());
  EXPECT_TRUE(check_without_tags(two(false, 0)).empty());
  EXPECT_TRUE(check(two(true, 0)).empty());
  auto const found = check_without_tags(two(true, 0));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].rule, program_rule::overtaken);
  EXPECT_EQ(to_string(found[0]), "rank 0, instruction 0: overtaken: sent as number 0, received as "
                                 "number 1 (with rank 1, instruction 1)");
  auto const open = check_without_tags(two(false, 1));
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].rule, program_rule::unordered_messages);
}

}  // namespace
}  // namespace shunt::tests::lanes_test
