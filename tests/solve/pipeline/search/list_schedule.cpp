#include <gtest/gtest.h>

#include <cstddef>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/search/list_schedule.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::list_schedule_test {
namespace {

using namespace detail;

TEST(list_schedule, the_list_schedulers_own_times_are_the_measured_ones) {
  random_cases d(15);
  for (int round = 0; round < 200; ++round) {
    auto const job = random_job_with_failures(d, round % 2 == 1);
    SCOPED_TRACE(describe_job(job));
    list_scheduler scheduler(job, round % 3 > 0,
                             round % 5 == 0 ? routing::pooled : routing::by_load);
    stage_policies policies(static_cast<std::size_t>(job.stages));
    for (auto& p : policies) {
      p.prefer = d.roll(0, 1) == 0 ? stage_policy::first::input : stage_policy::first::forward;
      p.in_flight = d.roll(1, 9);
      p.rerouted_first = d.roll(0, 1) == 0;
      p.lag = d.roll(-2, 2);
    }
    for (bool const patient : {false, true}) {
      if (patient)
        for (auto& p : policies)
          p.patience = d.roll(0, 1) == 0 ? stage_policy::wait::forward : stage_policy::wait::weight;
      scheduler.run(policies);
      if (!scheduler.complete()) continue;  // caps of ranks with several stages
      auto const plan = scheduler.schedule(false);
      EXPECT_EQ(lines(check(job, plan)), "");
      EXPECT_LE(makespan(job, plan), scheduler.makespan());
      if (!patient) {
        EXPECT_EQ(makespan(job, plan), scheduler.makespan());
      }
    }
  }
}

}  // namespace
}  // namespace shunt::tests::list_schedule_test
