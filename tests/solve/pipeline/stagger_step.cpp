#include <gtest/gtest.h>

#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h2.hpp"

namespace shunt::tests::stagger_step_test {
namespace {

TEST(stagger_step, the_order_stays_and_the_period_falls_to_the_longest_span) {
  pipeline_job const job{.stages = 4, .microbatches = 8, .costs = {.step = 3}};
  auto const together = zb_h2{}(job), apart = stagger_step{}(job, together.plan);
  EXPECT_EQ(apart.plan.order, together.plan.order);
  EXPECT_TRUE(apart.plan.staggered_step);
  EXPECT_EQ(together.objective, 8 * 3 + 3 + 3);  // the last rank starts 3 ticks late
  EXPECT_EQ(apart.objective, 8 * 3 + 3);
}

TEST(stagger_step, a_stage_that_spans_the_makespan_keeps_the_period) {
  pipeline_job const job{.stages = 4, .microbatches = 6, .costs = {.step = 3}};
  auto const together = one_f_one_b{}(job);
  EXPECT_EQ(together.objective, (6 + 3) * 3 + 3);
  EXPECT_EQ(stagger_step{}(job, together.plan).objective, together.objective);
}

TEST(stagger_step, one_stage_gains_nothing) {
  pipeline_job const job{.stages = 1, .microbatches = 2, .costs = {.step = 3}};
  EXPECT_EQ(stagger_step{}(job, one_f_one_b{}.order(job)).objective, 2 * 3 + 3);
}

}  // namespace
}  // namespace shunt::tests::stagger_step_test
