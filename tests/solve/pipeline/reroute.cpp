#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "support/pipeline_lists.hpp"
#include "support/text.hpp"

namespace shunt::tests::reroute_test {
namespace {

TEST(reroute, live_workers_of_the_stage_share_what_a_dead_one_had) {
  pipeline_job const job{.pipelines = 3, .stages = 2, .microbatches = 4, .dead = {{1, 1}}};
  auto const answer = reroute{}(job, one_f_one_b{}.order(job));
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_TRUE(answer.plan.order[3].empty());
  EXPECT_EQ(count_of(answer.plan, 1, op_kind::forward), 6);
  EXPECT_EQ(count_of(answer.plan, 5, op_kind::forward), 6);
}

TEST(reroute, a_job_without_failures_keeps_its_plan) {
  pipeline_job const job{.pipelines = 2, .stages = 3, .microbatches = 4};
  EXPECT_EQ(reroute{}(job, one_f_one_b{}.order(job)), one_f_one_b{}(job));
}

TEST(reroute, orders_that_do_not_fit_under_the_cap_are_told) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 2,
                         .microbatches = 2,
                         .memory = stash_cap::per_worker(2),
                         .dead = {{0, 1}}};
  auto const answer = reroute{}(job, gpipe{}.order(job));
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason,
            "the orders of re-routed and own micro-batches don't fit under the stash cap");
}

}  // namespace
}  // namespace shunt::tests::reroute_test
