#include <gtest/gtest.h>

#include <cstdint>
#include <stop_token>
#include <string_view>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/portfolio.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::portfolio_test {
namespace {

TEST(portfolio, is_never_worse_than_its_parts) {
  random_cases d(5);
  int mixed = 0;
  for (int round = 0; round < 60; ++round) {
    std::int32_t const pipelines = d.roll(1, 2), stages = d.roll(2, 3);
    auto job = job_of(pipelines, stages, d.roll(2, 4));
    job.costs = {d.costs(job.stages, 1, 9), d.costs(job.stages, 1, 9), d.costs(job.stages, 0, 9)};
    if (d.roll(0, 1) == 0) job.memory = stash_cap::per_worker(d.roll(1, 3));
    SCOPED_TRACE(describe_job(job));
    auto const first = one_f_one_b{} | stagger_step{};
    auto const second = slipstream{.effort = 2'000} | improve_order{.effort = 1'000};
    branch_and_bound const third{.most_nodes = 2'000};
    auto const a = solve(job, first), b = solve(job, second), c = solve(job, third);
    auto const all = solve(job, portfolio(first, second, third));
    EXPECT_TRUE(check(job, all.plan).empty());
    EXPECT_EQ(all, portfolio(first, second, third)(job, std::stop_token{}));
    for (auto const& part : {a, b, c})
      if (part.has_plan()) {
        EXPECT_LE(all.objective, part.objective);
      }
    bool const every = third.bounds_every_plan(job);
    EXPECT_EQ(every, job.pipelines == 1);
    if (every && a.status != status::optimal && b.status != status::optimal) {
      EXPECT_EQ(all.lower_bound, c.lower_bound);
      EXPECT_EQ(all.status == status::optimal, all.objective == c.lower_bound);
      mixed += all.plan == b.plan && c.lower_bound > b.lower_bound;
    }
    if (!every) {
      EXPECT_EQ(all.lower_bound, static_cast<double>(period_bound(job, true)));
    }
  }
  EXPECT_GT(mixed, 3);
}

TEST(portfolio, stops_and_falls_back) {
  auto job = job_of(1, 3, 4);
  job.memory = stash_cap::per_worker(3);
  auto const both = portfolio(gpipe{}, one_f_one_b{});  // the first has no plan under the cap
  EXPECT_FALSE(solve(job, gpipe{}).has_plan());
  EXPECT_EQ(solve(job, both), solve(job, one_f_one_b{}));
  EXPECT_EQ(solve(job, portfolio(gpipe{}, gpipe{})), solve(job, gpipe{}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(portfolio(one_f_one_b{}, branch_and_bound{})(job, stop.get_token()),
            solve(job, one_f_one_b{}));
  EXPECT_LT(solve(job, portfolio(one_f_one_b{}, branch_and_bound{})).objective,
            solve(job, one_f_one_b{}).objective);
}

static_assert(anytime_solver_for<portfolio<one_f_one_b, branch_and_bound>, pipeline_job>);

static_assert(std::string_view(portfolio<gpipe>::name) == "portfolio");

}  // namespace
}  // namespace shunt::tests::portfolio_test
