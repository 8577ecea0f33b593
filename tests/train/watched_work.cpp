#include "shunt/train/watched_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/policy_run.hpp"
#include "shunt/train/stretched_work.hpp"
#include "support/dense_training.hpp"
#include "support/slow_dense_work.hpp"

namespace shunt::tests::watched_work_test {
namespace {

static_assert(pipeline_trainee<slow_work>);
static_assert(watchable<slow_work>);

struct seen {
  std::int64_t iteration;
  slow_verdicts of;
};

// Trains with what is asked for, to the bits of an undisturbed run. Returns the changes of
// verdicts. Machines are busy: only what is much slower is told.
template <class Executor>
std::vector<seen> trained(pipeline_training const& t, std::vector<stretch> const& slow,
                          Executor const& executor, std::vector<join> joins = {},
                          bool salvages = false) {
  slow_work work(t);
  work.stretch_by(slow);
  pipeline_run run(work, slipstream{.effort = 20'000});
  run.watch({.tolerated = 1.7});
  if (salvages) run.salvage();
  std::vector<seen> all;
  run.on_slow = [&](slow_verdicts const& v, std::int64_t i) { all.push_back({i, v}); };
  auto const report = run(executor, std::move(joins));
  EXPECT_EQ(report.stopped, "");
  auto linear = t;
  linear.job.layout = stage_layout::linear();
  EXPECT_EQ(run.losses(), undisturbed(linear).losses);
  EXPECT_EQ(run.iterations().size(), static_cast<std::size_t>(t.iterations));
  return all;
}

bool names(std::vector<seen> const& all, rank_id slow) {
  return std::any_of(all.begin(), all.end(), [&](seen const& s) { return s.of[slow].slow(); });
}

TEST(slow_watched_work, slow_ranks_are_planned_around_until_they_are_well) {
  auto const t = dense_training(3, 2, 3, 14);
  rank_id const slow = t.job.rank_of({1, 1});
  bool well = false;
  for (int attempt = 0; attempt < 3 && !well; ++attempt) {  // other work may keep it slow
    auto const all = trained(t, {{slow, 4, 2}, {slow, 1, 8}}, inline_executor{});
    auto const named =
        std::find_if(all.begin(), all.end(), [&](seen const& s) { return s.of[slow].slow(); });
    ASSERT_NE(named, all.end());
    EXPECT_GE(named->iteration, 4);  // reported in 1 at the earliest, told in 2, and 3 has begun
    EXPECT_GE(named->of[slow].confidence, .999);
    EXPECT_GT(named->of[slow].factor(), 1.7);
    well = !all.back().of[slow].slow();
  }
  EXPECT_TRUE(well);
}

TEST(slow_watched_work, beside_losses_joins_and_salvage) {
  auto t = dense_training(3, 2, 3, 12);
  rank_id const slow = t.job.rank_of({1, 1});
  std::vector<stretch> const all{{slow, 6, 0}};
  thread_executor const kills{.failures = {{1, 5, 9}, {0, 8, 12}},
                              .timeout = std::chrono::milliseconds(20)};
  EXPECT_TRUE(names(trained(t, all, kills), slow));
  trained(t, all, kills, {{1, 7}}, true);
  t.clip = 0.1;
  trained(t, all, kills, {{1, 7}});
}

// The judge is lost before the rank becomes slow: another one finds it.
TEST(slow_watched_work, another_judge_takes_over) {
  auto const t = dense_training(3, 2, 3, 14);
  rank_id const slow = t.job.rank_of({1, 0});
  inline_executor const kills{.failures = {{t.job.rank_of({0, 1}), 5, 6}}};
  auto const all = trained(t, {{slow, 6, 7}}, kills);
  EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                          [&](seen const& s) { return s.iteration > 7 && s.of[slow].slow(); }));
}

// The policy that moves layers: a rank is found before a loss, and is slow in the plan after it.
TEST(slow_watched_work, under_a_policy_without_an_answer) {
  auto const t = dense_training(3, 2, 4, 12);
  rank_id const slow = t.job.rank_of({1, 1}), lost = t.job.rank_of({0, 0});
  slow_work work(t);
  work.stretch_by({{slow, 6, 1}});
  pipeline_run run(work, oobleck_policy<>{});
  ticks const calm = run.plan().period;
  run.watch({.tolerated = 1.7});
  EXPECT_EQ(run.plan().period, calm);
  EXPECT_EQ(run.plan().parts, 1);
  std::int64_t named = 0, planned = 0;
  run.on_slow = [&](slow_verdicts const& v, std::int64_t i) {
    if (named == 0 && v[slow].slow()) named = i;
  };
  run.on_plan = [&](planned_iteration const& p, std::int64_t i) {
    if (i != named) return;  // other work may slow other ranks
    planned = i;
    EXPECT_EQ(p.parts, slow_verdict::normal);
    EXPECT_GT(p.period, calm);
    EXPECT_EQ(p.schedule, run.plan().schedule);
  };
  auto const report = run(inline_executor{.failures = {{lost, 8, 3}}});
  EXPECT_EQ(report.stopped, "");
  EXPECT_EQ(run.losses(), undisturbed(t).losses);
  EXPECT_GE(named, 3);
  EXPECT_LT(named, 8);
  EXPECT_EQ(planned, named);
  ASSERT_EQ(run.changes().size(), 1U);
  EXPECT_EQ(run.changes()[0].iteration, 8);
  EXPECT_EQ(run.plan().parts, slow_verdict::normal);
}

TEST(slow_watched_work, ranks_with_several_stages) {
  auto t = dense_training(2, 4, 3, 8);
  t.job.layout = stage_layout::wave(2);
  trained(t, {{1, 5, 1}}, thread_executor{});
}

TEST(slow_watched_work, is_the_plain_work_until_it_watches) {
  auto const t = dense_training(2, 2, 2, 3);
  watched_work work(dense_work_of(t));
  EXPECT_EQ(work.watching(), nullptr);
  pipeline_run run(work);
  run(inline_executor{});
  EXPECT_EQ(run.losses(), undisturbed(t).losses);
  for (auto const& rank : run.plan_without({}).iteration->ranks)
    for (auto const& i : rank.instructions) EXPECT_NE(i.op.kind, op_kind::pace);
}

}  // namespace
}  // namespace shunt::tests::watched_work_test
