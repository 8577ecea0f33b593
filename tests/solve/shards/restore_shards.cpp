#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "support/random_cases.hpp"
#include "support/shards.hpp"

namespace shunt::tests::restore_shards_test {
namespace {

// Chained declustering: what a lost rank owned is shared by all survivors, not by its neighbour
// alone.
TEST(restore_shards, mirrors_share_the_work_of_a_lost_rank_evenly) {
  optimizer_state const state{.experts = 14,
                              .ranks = 8,
                              .elements =
                                  64};  // 14 x 8 elements on a rank, 16 for each of 7 survivors
  auto const map = mirrored_shards{.copies = 2}(state).plan;
  for (rank_id dead : ids<rank_id>(8)) {
    auto const answer = restore_shards{.map = map}({.state = state, .dead = {dead}});
    EXPECT_EQ(answer.status, status::optimal);
    EXPECT_EQ(answer.objective, 14 * 8 + 16);
  }
  auto const neighbours = restore_shards{.map = map}({.state = state, .dead = {3, 4}});
  EXPECT_EQ(std::string(neighbours.reason), "no live rank holds the optimizer's state of elements "
                                            "24 to 31 of experts 0 to 13 (dead: 3, 4)");
  auto const apart = restore_shards{.map = map}({.state = state, .dead = {3, 6}});
  EXPECT_NE(apart.status, status::infeasible);
}

// What is lost for good, against a search element by element.
TEST(restore_shards, what_is_lost_is_told_in_full) {
  random_cases d(4);
  int somewhere = 0;
  for (int round = 0; round < 300; ++round) {
    auto const state = random_state(d);
    auto map = mirrored_shards{.copies = d.roll(1, std::min(3, state.ranks))}(state).plan;
    if (d.roll(0, 2) == 0) map = hierarchical_shards{.ranks_per_node = d.roll(1, 4)}(state).plan;
    lost_ranks lost{.state = state, .dead = {}};
    for (rank_id r : ids<rank_id>(state.ranks))
      if (d.roll(0, 2) == 0) lost.dead.push_back(r);
    std::vector<std::vector<int>> gone(
        static_cast<std::size_t>(state.experts),
        std::vector<int>(static_cast<std::size_t>(state.elements), 0));
    for (expert_id e : ids<expert_id>(state.experts))
      for (shard const& s : map.shards[e]) {
        bool kept = false;
        for (rank_id r : ids<rank_id>(state.ranks)) kept = kept || (s.held_by(r) && lost.alive(r));
        for (auto i = s.begin; i < s.end; ++i) gone[e.index()][static_cast<std::size_t>(i)] = !kept;
      }
    for (lost_state const& piece : state_lost_with(lost, map)) {
      ++somewhere;
      EXPECT_LT(piece.begin, piece.end);
      for (expert_id e = piece.first; e <= piece.last; ++e)
        for (auto i = piece.begin; i < piece.end; ++i)
          EXPECT_EQ(gone[e.index()][static_cast<std::size_t>(i)]--, 1);
    }
    for (auto const& elements : gone)
      EXPECT_EQ(std::count(elements.begin(), elements.end(), 0), state.elements);
  }
  EXPECT_GT(somewhere, 100);
  auto const uneven =
      restore_shards{
          .map = mirrored_shards{.copies = 1}({.experts = 3, .ranks = 2, .elements = 5}).plan}(
          {.state = {.experts = 3, .ranks = 2, .elements = 5}, .dead = {1}});
  EXPECT_EQ(std::string(uneven.reason), "no live rank holds the optimizer's state of elements 3 to "
                                        "4 of expert 0; elements 2 to 4 of expert 1; "
                                        "elements 3 to 4 of expert 2 (dead: 1)");
}

TEST(restore_shards, refuse_what_can_not_be) {
  optimizer_state const state{.experts = 1, .ranks = 2, .elements = 4};
  auto const map = mirrored_shards{}(state).plan;
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {0, 1}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {2}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {1, 1}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{}({.state = state, .dead = {1}}), invalid_problem);
  shard_recovery const same{.map = map, .copies = {}};
  EXPECT_THROW((void)lower(state, map, same, state_recovery{.planes = 5}), invalid_problem);
  shard_recovery const impossible{.map = map, .copies = {{0, 0, 3, 0, 1}}};
  EXPECT_THROW((void)lower(state, map, impossible), invalid_program);
  auto cut_again = same;
  auto& shards = cut_again.map.shards[0];
  shards.push_back(shards.back());
  shards.back().begin = shards[shards.size() - 2].end -= 1;
  EXPECT_THROW((void)lower(state, map, cut_again), invalid_problem);
}

}  // namespace
}  // namespace shunt::tests::restore_shards_test
