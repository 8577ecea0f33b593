#include <gtest/gtest.h>

#include <utility>

#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::author_pipeline_test {
namespace {

TEST(author_pipeline, an_evaluated_plan_has_its_period_and_bound) {
  pipeline_job const job{.stages = 4, .microbatches = 8, .costs = {.step = 2}};
  auto const answer = evaluated(job, one_f_one_b{}.order(job));
  EXPECT_EQ(answer.objective, (8 + 4 - 1) * 3 + 2);
  EXPECT_EQ(answer.lower_bound, static_cast<double>(period_bound(job, false)));
  EXPECT_EQ(answer.status,
            answer.objective > answer.lower_bound ? status::feasible : status::optimal);
}

TEST(author_pipeline, why_an_order_is_no_plan) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 3};
  auto const plan = one_f_one_b{}.order(job);
  job.dead = {{1, 0}};
  EXPECT_EQ(evaluated(job, plan).reason,
            "worker 1:0 is dead and its micro-batches are not re-routed");
  job.dead = {{0, 1}, {1, 1}};
  EXPECT_EQ(evaluated(job, plan).reason, "stage 1 has no live worker");
  job.dead = {};
  job.memory = stash_cap::per_worker(1);
  EXPECT_EQ(evaluated(job, plan).reason, "worker 0:0 stashes 2, the cap is 1");
  job.memory = {};
  auto crossed = plan;
  std::swap(crossed.order[0][1], crossed.order[0][2]);
  std::swap(crossed.order[1][1], crossed.order[1][2]);
  EXPECT_EQ(evaluated(job, crossed).reason, "workers wait for each other");
  EXPECT_EQ(evaluated(job, crossed).status, status::infeasible);
}

TEST(author_pipeline, a_schedule_that_lacks_operations_is_no_plan) {
  pipeline_job const job{.stages = 2, .microbatches = 3};
  auto const whole = one_f_one_b{}.order(job);
  auto lacking = whole;
  lacking.order[0].erase(lacking.order[0].begin());
  auto const answer = evaluated(job, lacking);
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "rank 0, operation 1: backward of micro-batch 0:0 at stage 0 has no "
                           "forward before it in the list");
  auto empty = whole;
  empty.order[1].clear();
  EXPECT_EQ(evaluated(job, empty).reason, "rank 1 does not step stage 1");
  auto of_fewer_ranks = whole;
  of_fewer_ranks.order.resize(1);
  EXPECT_EQ(evaluated(job, of_fewer_ranks).reason, "1 lists of operations for 2 ranks");
  pipeline_job const larger{.stages = 2, .microbatches = 4};
  for (auto const& other : {lacking, empty, of_fewer_ranks, one_f_one_b{}.order(larger)})
    for (auto const& transformed : {split_backward{}(job, other), stagger_step{}(job, other),
                                    reroute{}(job, other), improve_order{}(job, other)})
      EXPECT_EQ(transformed.status, status::infeasible);
}

TEST(author_pipeline, layouts_are_required_by_name) {
  pipeline_job const job{.stages = 4, .layout = stage_layout::looped(2)};
  EXPECT_EQ(thrown_by([&] { require_layout(job, "mine", stage_layout::shape::wave, 2); }),
            "layout: is looped(2), mine is for wave layouts with 2 chunks a rank");
  EXPECT_NO_THROW(require_layout(job, "mine", stage_layout::shape::looped, 2));
}

TEST(author_pipeline, an_empty_schedule_has_a_list_for_each_rank) {
  auto const plan = empty_schedule({.pipelines = 2, .stages = 3}, 5);
  EXPECT_EQ(plan.order.size(), 6u);
  EXPECT_TRUE(plan.order[5].empty());
  EXPECT_GE(plan.order[5].capacity(), 5u);
}

}  // namespace
}  // namespace shunt::tests::author_pipeline_test
