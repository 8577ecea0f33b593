#include "shunt/execute/recovery/survivors.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::survivors_test {
namespace {

using namespace detail;

/// Ranks 0 to 2 compute and step, rank 3 does nothing.
program plan() {
  program_builder b(4);
  for (rank_id const r : {rank_id{0}, rank_id{1}, rank_id{2}}) {
    b.compute(r, {.kind = op_kind::forward}, {}, {});
    b.compute(r, {.kind = op_kind::step}, {}, {});
    b.fill(r, {});
  }
  return std::move(b).finish();
}

/// Rank 1 is lost in program 1; rank 0 has stepped in it, rank 2 has not.
outcome interrupted() {
  outcome o;
  o.lost = {1};
  for (progress const& done : {progress{1, 2}, progress{1, 0}, progress{1, 1}, progress{0, 0}})
    o.done.push_back(done);
  o.timeline.events = {{.rank = 0, .iteration = 1, .instruction = 1, .start = 4, .end = 9},
                       {.rank = 1, .iteration = 0, .instruction = 2, .start = 3, .end = 5},
                       {.rank = 2, .iteration = 1, .instruction = 2, .start = 6, .end = 8}};
  return o;
}

TEST(survivors, dead_ranks_stay_ascending_and_unique) {
  std::vector<rank_id> dead{2, 5};
  add_dead(dead, {5, 0});
  EXPECT_EQ(dead, (std::vector<rank_id>{0, 2, 5}));
}

TEST(survivors, a_rank_without_a_list_does_not_hold_the_others_back) {
  std::vector<rank_id> const dead{1};
  EXPECT_EQ(survivors(interrupted(), dead), (std::vector<rank_id>{0, 2, 3}));
  EXPECT_EQ(fewest_programs(interrupted(), dead, plan()), 1);
}

TEST(survivors, steps_are_undone_where_they_were_taken) {
  auto const p = plan();
  auto const o = interrupted();
  std::vector<rank_id> const dead{1};
  auto const steps = [&](rank_id r, std::int32_t back_to) {
    return steps_to_undo(p, r, what_ran(o, dead, p, 1)[r], o.done[r], back_to);
  };
  EXPECT_EQ(steps(0, 1), 1);
  EXPECT_EQ(steps(2, 1), 0);
  EXPECT_EQ(steps(2, 0), 1);
  EXPECT_EQ(steps(3, 1), 0);
  // a step on a lane that is ahead of the list
  EXPECT_EQ(steps_to_undo(p, 2, {false, true, false}, o.done[2], 1), 1);
}

TEST(survivors, what_ran_is_the_completed_list_and_the_events_beyond_it) {
  std::vector<rank_id> const dead{1};
  auto const ran = what_ran(interrupted(), dead, plan(), 1);
  EXPECT_EQ(ran[0], (std::vector{true, true, false}));
  EXPECT_TRUE(ran[1].empty());
  EXPECT_EQ(ran[2], (std::vector{true, false, true}));  // another lane was ahead
}

TEST(survivors, times_are_the_latest_ends) {
  EXPECT_EQ(silent_since(interrupted()), 5);
  EXPECT_EQ(last_end(interrupted(), 1), 9);
  EXPECT_EQ(last_end(interrupted(), 2), 0);
}

}  // namespace
}  // namespace shunt::tests::survivors_test
