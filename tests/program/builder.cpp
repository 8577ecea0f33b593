#include "shunt/program/builder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace shunt::tests::builder_test {
namespace {

TEST(builder, the_same_members_in_the_same_order_are_one_group) {
  program_builder b(3);
  auto const group = b.group({0, 2});
  EXPECT_NE(b.group({2, 0}), group);
  EXPECT_EQ(b.group({0, 2}), group);
  EXPECT_EQ(b.peek().groups.size(), 2U);
}

TEST(builder, buffers_take_the_next_number_or_a_chosen_one) {
  program_builder b(1);
  EXPECT_EQ(b.buffer(0, 8), 0);
  b.buffer(0, buffer_id{3}, 16, true);
  EXPECT_EQ(b.buffer(0, 4), 4);
  auto const& table = b.peek().ranks[0].buffers;
  ASSERT_EQ(table.size(), 5U);
  EXPECT_EQ(table[2], buffer_info{});
  EXPECT_EQ(table[3], (buffer_info{16, true}));
  EXPECT_EQ(b.all_of(0, 3), (region{3, 0, 16}));
}

TEST(builder, a_message_is_a_send_and_a_receive_or_a_copy) {
  program_builder b(2);
  b.message(0, {0, 0, 8}, 1, {1, 8, 8}, 5);
  b.message(1, {0, 0, 8}, 1, {1, 0, 8});
  auto const p = std::move(b).finish();
  ASSERT_EQ(p.ranks[0].instructions.size(), 1U);
  ASSERT_EQ(p.ranks[1].instructions.size(), 2U);
  auto const& send = p.ranks[0].instructions[0];
  auto const& receive = p.ranks[1].instructions[0];
  EXPECT_EQ(send.code, opcode::send);
  EXPECT_EQ(send.peer, 1);
  EXPECT_EQ(send.channel, 5);
  EXPECT_EQ(receive.code, opcode::receive);
  EXPECT_EQ(receive.peer, 0);
  EXPECT_EQ(receive.channel, 5);
  EXPECT_EQ(p.ranks[1].writes(receive)[0], (region{1, 8, 8}));
  EXPECT_EQ(p.ranks[1].instructions[1].code, opcode::copy);
}

TEST(builder, an_instruction_keeps_its_lane_batch_waits_and_condition) {
  program_builder b(1);
  auto const first = b.fill(0, {0, 0, 8});
  auto const second = b.fill(0, {1, 0, 8}, {.lane = 1});
  auto const third =
      b.add(0, element::int32, {0, 0, 8}, {1, 0, 8},
            {.lane = 2, .batch = 4, .after = {first, second}, .condition = {2, 8, 8}});
  EXPECT_EQ(third, 2);
  EXPECT_EQ(b.size(0), 3);
  auto const& own = b.peek().ranks[0];
  auto const& i = own.instructions[2];
  EXPECT_EQ(i.lane, 2);
  EXPECT_EQ(i.batch, 4);
  EXPECT_TRUE(std::ranges::equal(own.after(i), std::vector{first, second}));
  EXPECT_TRUE(std::ranges::equal(own.condition(i), std::vector<region>{{2, 8, 8}}));
  EXPECT_TRUE(std::ranges::equal(own.reads(i), std::vector<region>{{0, 0, 8}, {1, 0, 8}}));
  EXPECT_TRUE(std::ranges::equal(own.writes(i), std::vector<region>{{1, 0, 8}}));
  EXPECT_TRUE(own.condition(own.instructions[0]).empty());
}

}  // namespace
}  // namespace shunt::tests::builder_test
