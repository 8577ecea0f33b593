#include "shunt/lower/detail/list_rewriter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::list_rewriter_test {
namespace {

using places = std::vector<std::int32_t>;

TEST(list_rewriter, waits_follow_instructions_to_their_new_places) {
  program_builder b(1);
  b.buffer(0, 12, true);
  auto const first = b.fill(0, {0, 0, 4});
  auto const other = b.fill(0, {0, 4, 4}, {.lane = 1});
  b.fill(0, {0, 8, 4}, {.lane = 2, .after = {first, other}});
  detail::list_rewriter list(b.peek().ranks[0]);
  EXPECT_EQ(list.add({.code = opcode::fill, .lane = 1}, {}, {{0, 0, 12}}), 0);
  EXPECT_EQ(list.move(0), 1);
  EXPECT_EQ(list.place_of(0), 1);
  EXPECT_EQ(list.place_of(1), -1);
  // the second is not placed yet: the last of its lane stands for it
  EXPECT_EQ(list.waits_of(2), (places{1, 0}));
  EXPECT_EQ(list.ends_of_other_lanes(0), (places{0}));
  EXPECT_EQ(list.move(2,
                      [](auto& i, auto& after) {
                        i.lane = 3;
                        after.pop_back();
                      }),
            2);
  auto const& moved = list.out.instructions[2];
  EXPECT_EQ(moved.lane, 3);
  EXPECT_TRUE(std::ranges::equal(list.out.after(moved), places{1}));
  EXPECT_TRUE(std::ranges::equal(list.out.writes(moved), std::vector<region>{{0, 8, 4}}));
}

TEST(list_rewriter, buffers_grow_at_a_multiple_of_eight) {
  program_builder b(1);
  b.buffer(0, 12, true);
  detail::list_rewriter list(b.peek().ranks[0]);
  EXPECT_EQ(list.extend(0, 24), (region{0, 16, 24}));
  EXPECT_EQ(list.out.buffers[0], (buffer_info{40, true}));
}

}  // namespace
}  // namespace shunt::tests::list_rewriter_test
