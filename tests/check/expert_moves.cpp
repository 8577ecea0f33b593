#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shunt/check/expert_moves.hpp"

namespace shunt::tests::check_expert_moves_test {
namespace {

using kind = move_violation::kind;

// Expert 2 is lost; rank 0 gives its second 0 for it, and rank 1 its 1 for 0.
expert_layers const problem{
    .experts = 3, .loads = {1, 1, 1}, .slots_per_rank = {3, 2}, .previous = {0, 0, 1, 1, -1}};
expert_placement const plan{
    .layers = 1, .experts = 3, .first_slot = {0, 3, 5}, .expert_of = {0, 2, 1, 0, 0}};
std::vector<expert_move> const moves{
    {.layer = 0, .expert = 2, .to = 1, .receiver = 0},
    {.layer = 0, .expert = 0, .to = 3, .receiver = 1, .from = 0, .sender = 0},
    {.layer = 0, .expert = 0, .to = 4, .receiver = 1, .from = 3, .sender = 1}};

std::vector<kind> kinds(std::vector<expert_move> const& list) {
  std::vector<kind> all;
  for (auto const& v : shunt::check(problem, plan, list)) all.push_back(v.what);
  return all;
}

TEST(check_expert_moves, each_error_alone) {
  EXPECT_TRUE(kinds(moves).empty());
  auto const with = [](std::size_t i, auto change) {
    auto list = moves;
    change(list[i]);
    return kinds(list);
  };
  using all = std::vector<kind>;
  EXPECT_EQ(with(0, [](auto& m) { m.layer = 1; }), (all{kind::no_slot, kind::no_move}));
  EXPECT_EQ(with(0, [](auto& m) { m.receiver = 1; }), (all{kind::no_slot, kind::no_move}));
  EXPECT_EQ(with(1, [](auto& m) { m.sender = 1; }),
            (all{kind::no_slot, kind::not_held, kind::no_move}));
  EXPECT_EQ(with(1, [](auto& m) { m.sender = -1; }),
            (all{kind::no_slot, kind::not_held, kind::no_move}));
  EXPECT_EQ(with(1, [](auto& m) { m.expert = 1; }),
            (all{kind::other_expert, kind::not_held, kind::no_move}));
  EXPECT_EQ(with(0, [](auto& m) { m.from = 2, m.sender = 0; }), (all{kind::not_held}));
  EXPECT_EQ(with(2, [](auto& m) { m.from = -1, m.sender = -1; }), (all{kind::needless_fetch}));
  auto list = moves;
  list.push_back(list[1]);
  EXPECT_EQ(kinds(list), (all{kind::moved_twice}));
  list = moves;
  list.push_back({.layer = 0, .expert = 1, .to = 2, .receiver = 0, .from = 3, .sender = 1});
  EXPECT_EQ(kinds(list), (all{kind::no_change}));
  list = {moves[0], moves[2], moves[1]};  // a copy of what has not come yet
  EXPECT_EQ(kinds(list), (all{kind::not_held}));
  EXPECT_EQ(kinds({}), (all{kind::no_move, kind::no_move, kind::no_move}));
}

TEST(check_expert_moves, errors_are_one_line_that_names_the_place) {
  EXPECT_EQ(to_string(shunt::check(problem, plan, {})[1]),
            "layer 0, slot 3: gets expert 0 without a move");
  auto list = moves;
  list[2].from = -1;
  list[2].sender = -1;
  EXPECT_EQ(to_string(shunt::check(problem, plan, list)[0]),
            "move 2 (layer 0, slot 4): expert 0 is fetched, a live rank holds it");
  for (int k = 0; k <= static_cast<int>(kind::no_move); ++k)
    EXPECT_EQ(to_string(move_violation{.what = static_cast<kind>(k)}).find("unknown"),
              std::string::npos);
}

}  // namespace
}  // namespace shunt::tests::check_expert_moves_test
