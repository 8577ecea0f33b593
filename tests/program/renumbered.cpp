#include "shunt/program/renumbered.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/program/builder.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::renumbered_test {
namespace {

program of_two() {
  program_builder b(2);
  for (rank_id const r : {0, 1}) b.buffer(r, buffer_id(0), 8, true);
  b.message(0, {0, 0, 8}, 1, {0, 0, 8});
  auto const both = b.group({0, 1});
  for (rank_id const r : {0, 1}) b.all_reduce(r, both, element::int64, reduction::sum, {0, 0, 8});
  return std::move(b).finish();
}

TEST(renumbered, ranks_peers_and_groups_have_their_numbers) {
  auto const p = renumbered(of_two(), std::vector<rank_id>{3, 1}, 5);
  ASSERT_EQ(p.ranks.size(), 5U);
  for (rank_id const r : {0, 2, 4}) EXPECT_EQ(p.ranks[r], rank_program{});
  EXPECT_EQ(p.ranks[3].instructions[0].peer, rank_id(1));
  EXPECT_EQ(p.ranks[1].instructions[0].peer, rank_id(3));
  EXPECT_EQ(p.groups[0], (std::vector<rank_id>{3, 1}));
  EXPECT_EQ(p.ranks[1].regions, of_two().ranks[1].regions);
}

TEST(renumbered, numbers_in_order_change_nothing) {
  EXPECT_EQ(renumbered(of_two(), std::vector<rank_id>{0, 1}, 2), of_two());
}

TEST(renumbered, refuses_numbers_that_can_not_be) {
  auto const thrown = [](std::vector<rank_id> const& numbers) {
    return thrown_by([&] { (void)renumbered(of_two(), numbers, 3); });
  };
  EXPECT_EQ(thrown({0}), "the program is for 2 ranks, 1 are named");
  EXPECT_EQ(thrown({0, 3}), "rank 3 is not one of 3 ranks, or is named twice");
  EXPECT_EQ(thrown({1, 1}), "rank 1 is not one of 3 ranks, or is named twice");
  EXPECT_EQ(thrown({-1, 1}), "rank -1 is not one of 3 ranks, or is named twice");
}

}  // namespace
}  // namespace shunt::tests::renumbered_test
