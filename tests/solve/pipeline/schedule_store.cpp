#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/schedule_store.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::schedule_store_test {
namespace {

TEST(schedule_store, has_the_plans_and_says_who_sits_where) {
  pipeline_job const job{.pipelines = 4, .stages = 3, .microbatches = 5, .costs = {.step = 1}};
  slipstream const solver{.effort = 20'000};
  schedule_store store(job, solver);
  EXPECT_EQ(store.prepare(4), 5u);
  random_cases d(18);
  for (int round = 0; round < 60; ++round) {
    auto broken = job;
    kill_some(d, broken, 3);
    SCOPED_TRACE(describe_job(broken));
    auto const exact = store.exact(broken.dead);
    EXPECT_EQ(exact->answer, solve(exact->job, solver));
    EXPECT_EQ(exact, store.exact(broken.dead));
    auto const spread = store.normalized(broken.dead);
    ASSERT_NE(spread.schedule, nullptr) << spread.reason;
    auto const& then = spread.schedule->job;
    EXPECT_EQ(then.dead.size(), broken.dead.size());
    std::set<rank_id> assigned;
    std::size_t moved = 0;
    stage_groups const in(job);
    for (rank_id role : ids<rank_id>(job.ranks())) {
      rank_id const who = spread.played_by[role];
      EXPECT_EQ(who >= 0, then.alive(role));
      if (who < 0) continue;
      EXPECT_TRUE(broken.alive(who));
      EXPECT_TRUE(assigned.insert(who).second);
      moved += in.of[who] != in.of[role];
    }
    EXPECT_EQ(moved, spread.changes.size());
    for (role_change const& change : spread.changes) {
      EXPECT_EQ(spread.played_by[change.to], *change.from);
      EXPECT_EQ(in.of[change.copied_from], in.of[change.to]);
      EXPECT_TRUE(broken.alive(change.copied_from));
    }
    EXPECT_LE(spread.schedule->answer.lower_bound, exact->answer.objective);
  }
  EXPECT_EQ(store.normalized({{0, 0}, {1, 0}, {2, 0}, {3, 0}}).reason,
            "stage 0 has no live worker");
  EXPECT_EQ(store.exact({{0, 0}, {1, 0}, {2, 0}, {3, 0}})->answer.reason,
            "stage 0 has no live worker");
  EXPECT_THROW((void)store.exact({{9, 0}}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.pipelines = 2, .dead = {{0, 0}}}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.pipelines = -1}), invalid_problem);
  EXPECT_THROW(schedule_store<>({.stages = 2, .layout = stage_layout::custom({0})}),
               invalid_problem);
}

TEST(schedule_store, may_be_asked_by_several_threads) {
  schedule_store store(pipeline_job{.pipelines = 3, .stages = 2, .microbatches = 4},
                       slipstream{.effort = 5'000});
  std::vector<std::shared_ptr<stored_schedule const>> seen(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < seen.size(); ++i)
    threads.emplace_back([&store, &seen, i] {
      store.prepare(static_cast<std::int32_t>(i) % 3);
      seen[i] = store.exact({{static_cast<std::int32_t>(i % 2), 1}});
    });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], seen[i % 2]);
  EXPECT_NE(seen[0], seen[1]);
}

}  // namespace
}  // namespace shunt::tests::schedule_store_test
