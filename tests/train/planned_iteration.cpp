#include "shunt/train/planned_iteration.hpp"

#include <gtest/gtest.h>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::planned_iteration_test {
namespace {

pipeline_job const job{.pipelines = 2, .stages = 2, .microbatches = 3, .costs = {1, 1, 1, 3}};

TEST(planned_iteration, all_forms_pass_the_checks) {
  for (auto const form :
       {iteration_form::plain, iteration_form::validated, iteration_form::salvageable}) {
    auto const plan = plan_iteration(slipstream{}, job, {}, form);
    EXPECT_EQ(plan.job, job);
    EXPECT_EQ(plan.period, period(job, plan.schedule));
    EXPECT_TRUE(check(*plan.iteration).empty());
    EXPECT_EQ(plan.closing != nullptr, form == iteration_form::validated);
  }
}

TEST(planned_iteration, what_cannot_be_planned_is_said) {
  auto without = job;
  without.dead = {{0, 1}, {1, 1}};
  EXPECT_THROW((void)plan_iteration(slipstream{}, without, {}), invalid_problem);
  auto schedule = gpipe{}(job).plan;
  schedule.order[0].pop_back();
  EXPECT_THROW((void)planned(job, schedule, {}), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::planned_iteration_test
