#include <gtest/gtest.h>

#include <cstddef>

#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/timed_schedule.hpp"
#include "support/slow_clock.hpp"

namespace shunt::tests::timed_schedule_test {
namespace {

using namespace detail;

TEST(timed_schedule, scores_a_plan_as_the_measure_does) {
  random_cases d(41);
  int timed_plans = 0;
  for (int round = 0; round < 80; ++round) {
    SCOPED_TRACE(round);
    auto const job = random_job_of_any_layout(d);
    if (stage_without_worker(job)) continue;
    auto plan = random_order(job, d);
    if (!graph_of(job, plan).executable()) continue;
    timed_schedule timed(job, plan);
    ASSERT_TRUE(timed.run());
    ++timed_plans;
    if (!plan.staggered_step) {
      EXPECT_EQ(timed.value().first, makespan(job, plan));
    } else {
      EXPECT_EQ(timed.value().first, period(job, plan));
    }
  }
  EXPECT_GT(timed_plans, 40);
}

TEST(timed_schedule, the_orders_come_back_as_a_plan) {
  pipeline_job const job{.stages = 3, .microbatches = 4, .memory = stash_cap::per_worker(3)};
  auto const plan = one_f_one_b{}(job).plan;
  timed_schedule timed(job, plan);
  EXPECT_EQ(timed.plan(), plan);
  EXPECT_TRUE(timed.keeps_cap(0));
  auto const& first =
      timed.items[static_cast<std::size_t>(timed.forward({op_kind::forward, 0, 0, 0}))];
  auto const& its_backward =
      timed.items[static_cast<std::size_t>(timed.gradient({op_kind::backward, 0, 0, 0}))];
  EXPECT_TRUE(timed.must_precede(first, its_backward));
  EXPECT_FALSE(timed.must_precede(its_backward, first));
}

}  // namespace
}  // namespace shunt::tests::timed_schedule_test
