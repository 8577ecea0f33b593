#include <gtest/gtest.h>

#include <string>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/solver.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/text.hpp"

namespace shunt::tests::solver_test {
namespace {

TEST(solver, the_parts_compose) {
  auto const job = paper_job_after_a_failure();
  auto const custom = one_f_one_b{} | reroute{} | split_backward{} | stagger_step{};
  auto const answer = solve(job, custom);
  EXPECT_EQ(custom.name, "one_f_one_b | reroute | split_backward | stagger_step");
  EXPECT_EQ(lines(check(job, answer.plan, steady_times(job, answer.plan))), "");
  EXPECT_EQ(answer.objective, 30);
  EXPECT_EQ(answer.status, status::optimal);

  auto capped = job;
  capped.memory = stash_cap::one_f_one_b();
  auto const under_caps = solve(capped, custom);
  EXPECT_TRUE(under_caps.has_plan()) << under_caps.reason;
  EXPECT_EQ(lines(check(capped, under_caps.plan)), "");
}

TEST(solver, plans_that_are_none_say_why) {
  auto const job = paper_job_after_a_failure();
  auto const text = [](pipeline_job const& j, auto const& solver) {
    auto const answer = solve(j, solver);
    EXPECT_EQ(answer.status, status::infeasible);
    EXPECT_FALSE(check(j, answer.plan).empty());
    return answer.reason;
  };
  std::string const dead = "worker 1:2 is dead and its micro-batches are not re-routed";
  EXPECT_EQ(text(job, one_f_one_b{}), dead);
  EXPECT_EQ(text(job, gpipe{}), dead);
  EXPECT_EQ(text(job, zb_h1{}), dead);
  EXPECT_EQ(text(job, one_f_one_b{} | split_backward{}), dead);
  EXPECT_EQ(text(job, slipstream{.reroute = false}), dead);
  auto none = job;
  none.dead = {{0, 3}, {1, 3}, {2, 3}};
  EXPECT_EQ(text(none, slipstream{}), "stage 3 has no live worker");
  EXPECT_EQ(text(none, one_f_one_b{} | reroute{}), "stage 3 has no live worker");
  auto tight = paper_job();
  tight.memory = stash_cap::per_worker(2);
  EXPECT_EQ(text(tight, gpipe{}), "worker 0:0 stashes 6, the cap is 2");
  EXPECT_TRUE(one_f_one_b{}(tight).has_plan());
  EXPECT_TRUE(zb_h1{}(tight).has_plan());
}

}  // namespace
}  // namespace shunt::tests::solver_test
