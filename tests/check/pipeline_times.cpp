#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/small_schedules.hpp"

namespace shunt::tests::pipeline_times_test {
namespace {

using namespace small_schedules;

// Times of the schedule above, changed.
std::vector<pipeline_violation> timed(bool staggered, std::function<void(timetable&)> const& edit) {
  auto const job = small_job();
  auto plan = one_f_one_b{}(job).plan;
  plan.staggered_step = staggered;
  auto table = times(job, plan);
  edit(table);
  return check(job, plan, table);
}

void move(timetable& t, rank_id r, std::size_t i, ticks by) {
  t.times[r][i].start += by;
  t.times[r][i].end += by;
}

TEST(pipeline_times, times_of_a_measure_break_none) {
  for (bool const staggered : {false, true}) EXPECT_TRUE(timed(staggered, [](auto&) {}).empty());
}

TEST(pipeline_times, untimed) {
  auto const found = timed(false, [](auto& t) { t.times[second].pop_back(); });
  ASSERT_EQ(rules(found), std::vector{rule::untimed});
  EXPECT_EQ(found[0].count, 6);
  EXPECT_EQ(found[0].limit, 7);
  EXPECT_EQ(rules(timed(false, [](auto& t) { t.times.resize(3); })), std::vector{rule::untimed});
}

TEST(pipeline_times, duration) {
  auto const found = timed(false, [](auto& t) { t.times[second][6].end += 1; });
  ASSERT_EQ(rules(found), std::vector{rule::duration});
  EXPECT_EQ(found[0].count, 3);
  EXPECT_EQ(found[0].limit, 2);
}

TEST(pipeline_times, early) {
  auto const found = timed(false, [](auto& t) { move(t, first, 0, -1); });
  ASSERT_EQ(rules(found), std::vector{rule::early});
  EXPECT_EQ(found[0].count, -1);
}

TEST(pipeline_times, overlap) {
  auto const found = timed(false, [](auto& t) { move(t, first, 0, 1); });
  ASSERT_EQ(rules(found),
            (std::vector{rule::overlap,
                         rule::dependency}));  // its successor on the worker, and on the next stage
  EXPECT_EQ(found[0].index, 1);
  EXPECT_EQ(found[0].count, 1);
  EXPECT_EQ(found[0].limit, 2);
}

TEST(pipeline_times, dependency_counts_the_transfer) {
  auto const found = timed(false, [](auto& t) { move(t, second, 0, -1); });
  ASSERT_EQ(rules(found), std::vector{rule::dependency});
  EXPECT_EQ(found[0].related, (operation{F, 0, 0, 0}));
  EXPECT_EQ(found[0].count, 1);
  EXPECT_EQ(found[0].limit, 2);  // the forward ends at 1, the transfer takes 1
}

TEST(pipeline_times, early_step) {
  // worker 0:1 ends before 0:0: it may step then only if the step is staggered
  auto const job = small_job();
  auto const table = times(job, one_f_one_b{}(job).plan);
  ticks const idle = table.times[second][6].start - table.times[second][5].end;
  ASSERT_GT(idle, 0);
  auto const found = timed(false, [&](auto& t) { move(t, second, 6, -idle); });
  ASSERT_EQ(rules(found), std::vector{rule::early_step});
  EXPECT_EQ(found[0].related, (operation{B, 0, 0, 2}));
  EXPECT_EQ(found[0].limit - found[0].count, idle);
  EXPECT_TRUE(timed(true, [](auto&) {}).empty());
  // staggered it waits for its own peer alone
  auto const peers = timed(true, [](auto& t) { move(t, second, 6, -1); });
  ASSERT_EQ(rules(peers), (std::vector{rule::overlap, rule::early_step}));
}

TEST(pipeline_times, overlapped_pairs_have_one_time_and_gain) {
  auto job = v_job();
  job.costs = {.forward = 5, .backward_input = 4, .backward_weight = 2, .overlap_gain = 3};
  auto const plan = paired({3});
  auto const table = times(job, plan);
  EXPECT_TRUE(check(job, plan, table).empty());
  EXPECT_EQ(table.times[0][3].end - table.times[0][3].start, 5 + 4 - 3);
  auto const broken = [&](auto const& edit) {
    auto changed = table;
    edit(changed.times[0]);
    return rules(check(job, plan, changed));
  };
  EXPECT_EQ(broken([](auto& t) { t[4].end += 1; }),
            (std::vector{rule::apart, rule::overlap, rule::dependency}));
  EXPECT_EQ(broken([](auto& t) { t[4].start += 1; }), std::vector{rule::apart});
  EXPECT_EQ(broken([](auto& t) { t[3].start += 1; }), (std::vector{rule::duration, rule::apart}));
  // as one after the other
  EXPECT_EQ(broken([](auto& t) {
              t[3].end = t[3].start + 4;
              t[4].start = t[3].end;
            }),
            (std::vector{rule::duration, rule::apart, rule::apart}));
}

TEST(pipeline_times, links_within_and_between_nodes) {
  pipeline_job job{.stages = 3,
                   .microbatches = 1,
                   .transfer = {1, 7, 2}};  // ranks 0 and 1 on a node, 2 on another
  auto const plan = one_f_one_b{}(job).plan;
  auto table = times(job, plan);
  EXPECT_TRUE(check(job, plan, table).empty());
  for (auto& of_rank : table.times)
    for (auto& t : of_rank) t = {t.start - 1, t.end - 1};
  table.times[0][0] = {0, 1};
  auto const found = check(job, plan, table);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].rule, rule::dependency);
  EXPECT_EQ(found[0].limit - found[0].count, 1);
}

}  // namespace
}  // namespace shunt::tests::pipeline_times_test
