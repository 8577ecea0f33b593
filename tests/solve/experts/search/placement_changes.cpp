#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/required_moves.hpp"
#include "shunt/solve/experts/search/placement_changes.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"
#include "support/lost_experts.hpp"

namespace shunt::tests::placement_changes_test {
namespace {

using namespace detail;

TEST(placement_changes, count_what_they_move) {
  std::mt19937_64 random(77);
  int relocated = 0, back = 0;
  for (int i = 0; i < 150; ++i) {
    auto p = random_loss(random, 10, 6, 4);
    if (p.layers > 1) continue;
    windowed_placement state(p, 1);
    placement_changes changes(p, state, 0);
    state.load(p, 0);
    changes.begin(p.previous);
    auto const had = pairs_of(p.previous, p.slots_per_rank);
    auto const moved = [&] {
      std::int32_t sum = 0;
      for (auto const& pair : pairs_of(state.slots(), p.slots_per_rank)) sum += !had.contains(pair);
      return sum;
    };
    if (!state.place(p.previous)) changes.complete();
    EXPECT_EQ(changes.moved(), shunt::required_moves(p, 0));
    for (std::int32_t const left : {0, 1, 2, 4}) {
      std::int32_t const before = changes.moved();
      double const score = state.score();
      changes.refine(left);
      EXPECT_EQ(changes.moved(), moved());
      EXPECT_LE(changes.moved(), before + left);
      EXPECT_LE(state.score(), score);
    }
    while (true) {
      std::int32_t const before = changes.moved();
      double const score = state.score();
      if (!changes.relocate()) break;
      ++relocated;
      EXPECT_LE(changes.moved(), before);
      EXPECT_LT(state.score(), score);
    }
    for (std::int32_t before = changes.moved(); true; before = changes.moved()) {
      std::int32_t const saved = changes.take_back();
      EXPECT_EQ(changes.moved(), before - saved);
      EXPECT_EQ(changes.moved(), moved());
      if (saved == 0) break;
      ++back;
    }
    for (std::size_t e = 0; e < state.experts(); ++e) EXPECT_GT(state.copies(e), 0);
  }
  EXPECT_GT(relocated, 0);
  EXPECT_GT(back, 50);
}

TEST(placement_changes, completed_previous_keeps_what_ranks_hold) {
  expert_layers p{
      .experts = 3, .loads = {6, 4, 2}, .slots_per_rank = {2, 2}, .previous = {0, 1, 0, -1}};
  EXPECT_EQ(completed_previous(p, 0), (std::vector<expert_id>{0, 1, 0, 2}));
  p.previous = {0, 1, 0, 2};
  EXPECT_EQ(completed_previous(p, 0), p.previous);
  p.previous = {0, 1, 0, 1};  // expert 2 takes the place that costs least balance
  EXPECT_EQ(completed_previous(p, 0), (std::vector<expert_id>{0, 2, 0, 1}));
}

}  // namespace
}  // namespace shunt::tests::placement_changes_test
