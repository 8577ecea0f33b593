#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/every_plan.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

// Costs by rank, lengths of micro-batches, times by link.
namespace shunt::tests::uneven_costs_test {
namespace {

struct size {
  std::int32_t pipelines, stages;
  per_pipeline microbatches;
  std::vector<worker> dead{};
};

pipeline_job tiny_job(random_cases& d, size const& of) {
  pipeline_job job{.pipelines = of.pipelines, .stages = of.stages, .microbatches = of.microbatches};
  job.costs = {d.costs(of.stages, 1, 3), d.costs(of.stages, 1, 3), d.costs(of.stages, 0, 3),
               d.costs(of.stages, 0, 3)};
  job.transfer = d.roll(0, 2);
  if (d.roll(0, 2) == 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
  job.dead = of.dead;
  make_unlike(d, job);
  return job;
}

TEST(uneven_costs, no_plan_of_a_tiny_job_beats_the_bounds) {
  random_cases d(16);
  int cases = 0, tight = 0;
  for (auto const& of : std::vector<size>{
           {1, 2, 2}, {1, 1, 3}, {2, 1, {2, 1}}, {3, 1, 1}, {2, 2, 1}, {2, 2, 1, {{1, 0}}}})
    for (int round = 0; round < 3; ++round) {
      auto const job = tiny_job(d, of);
      SCOPED_TRACE(describe_job(job));
      every_plan const all(job);
      ASSERT_GT(all.plans, 0);
      EXPECT_GE(all.least_makespan, makespan_bound(job));
      for (bool const staggered : {false, true}) {
        EXPECT_GE(all.least[staggered], period_bound(job, staggered));
        ++cases;
        tight += all.least[staggered] == period_bound(job, staggered);
      }
    }
  EXPECT_GT(tight * 2, cases);  // the bounds are worth something
}

TEST(uneven_costs, plans_are_simulated_at_the_times_that_are_measured) {
  random_cases d(17);
  for (int round = 0; round < 40; ++round) {
    auto job = random_linear_job(d, 3, 4, 5);
    job.dead.clear();
    job.memory = stash_cap::none();
    make_unlike(d, job);
    SCOPED_TRACE(describe_job(job));
    for (auto const& plan : {one_f_one_b{}(job).plan, gpipe{}(job).plan}) {
      auto const expected = times(job, plan);
      EXPECT_EQ(lines(check(job, plan, expected)), "");
      timetable found;
      found.times.resize(plan.order.size());
      for (auto const& e : simulated_executor{job_costs(job)}.run(lower(job, plan)).timeline.events)
        if (e.code == opcode::compute) found.times[e.rank].push_back({e.start, e.end});
      EXPECT_EQ(found, expected);
      EXPECT_GE(makespan(job, plan), makespan_bound(job));
      EXPECT_GE(period(job, plan), period_bound(job, false));
    }
  }
}

// Lists that say the same for all workers, lengths of 1 and a matrix of one time.
TEST(uneven_costs, alike_in_every_list_is_measured_as_the_simple_case) {
  random_cases d(18);
  for (int round = 0; round < 30; ++round) {
    auto job = random_linear_job(d, 3, 4, 5);
    if (stage_without_worker(job)) continue;
    auto listed = job;
    auto const by_worker = [&](per_stage& list) {
      std::vector<ticks> all;
      for (pipeline_id p : ids<pipeline_id>(job.pipelines))
        for (stage_id s : ids<stage_id>(job.stages)) all.push_back(list.of(p, s, job.stages));
      list = per_stage(all);
    };
    for (auto* list : {&listed.costs.forward, &listed.costs.backward_input,
                       &listed.costs.backward_weight, &listed.costs.step})
      by_worker(*list);
    listed.lengths.assign(static_cast<std::size_t>(job.total_microbatches()), 1);
    listed.transfer = transfer_times(
        job.ranks(), std::vector<ticks>(static_cast<std::size_t>(job.ranks() * job.ranks()),
                                        job.transfer.within_node));
    SCOPED_TRACE(describe_job(job));
    EXPECT_EQ(makespan_bound(listed), makespan_bound(job));
    for (bool const staggered : {false, true}) {
      EXPECT_EQ(period_bound(listed, staggered), period_bound(job, staggered));
      EXPECT_EQ(fused_period_bound(listed, staggered), fused_period_bound(job, staggered));
    }
    EXPECT_EQ(one_f_one_b{}(listed), one_f_one_b{}(job));
  }
}

}  // namespace
}  // namespace shunt::tests::uneven_costs_test
