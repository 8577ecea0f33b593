#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/random_choices.hpp"
#include "support/validated_toy.hpp"

namespace shunt::tests::step_validation_test {
namespace {

using namespace validated_toy;

/// The distance of the ends of iterations once they are steady, in virtual time.
ticks steady_distance(pipeline_job const& job, program const& p, bool conditions = false) {
  constexpr std::int32_t settled = 20, measured = 10;
  no_work none;
  auto session = simulated_executor{.cost = job_costs(job), .conditions = conditions}.open(none);
  auto const iteration = std::make_shared<program const>(p);
  for (std::int32_t k = 0; k < settled + measured; ++k) session.submit(iteration);
  EXPECT_TRUE(session.wait_until(settled + measured));
  auto const ten = session.completed_at(settled + measured) - session.completed_at(settled);
  EXPECT_EQ(ten % measured, 0);
  return ten / measured;
}

TEST(step_validation, costs_nothing_where_steps_stand) {
  random_choices d(3);
  for (int n = 0; n < 100; ++n) {
    auto job = random_job(d).job;
    job.costs.step = d.below(6);
    job.transfer = d.below(4);
    auto const plan = slipstream{}(job).plan;
    auto const plain = lower(job, plan);
    EXPECT_EQ(steady_distance(job, validated(plain, validation::in_next_iteration).iteration),
              steady_distance(job, plain))
        << n;
  }
}

TEST(step_validation, a_rollback_in_virtual_time) {
  pipeline_job job{.pipelines = 1, .stages = 4, .microbatches = 6, .costs = {1, 1, 1, 3}};
  auto const staggered = planned(job, true), waiting = planned(job, false);
  EXPECT_EQ(steady_distance(job, staggered.iteration), 22);  // 19 and the step
  EXPECT_EQ(steady_distance(job, waiting.iteration), 24);    // 21 and the step
  EXPECT_EQ(steady_distance(job, staggered.iteration, true),
            31);  // every iteration: once more the step and the first stage's six forwards

  simulated_executor const calm{.cost = job_costs(job)},
      rolls_back{.cost = job_costs(job), .conditions = true};
  auto const count = [&](auto const& executor, op_kind kind) {
    auto const all = executor.run(staggered.iteration).timeline.events;
    ticks spent = 0;
    std::int64_t events = 0;
    for (auto const& e : all)
      if (e.code == opcode::compute && e.op.kind == kind) ++events, spent += e.end - e.start;
    return std::pair(events, spent);
  };
  EXPECT_EQ(count(calm, op_kind::validate_step), (std::pair<std::int64_t, ticks>(4, 0)));
  EXPECT_EQ(count(calm, op_kind::redo_step).first, 0);
  EXPECT_EQ(count(rolls_back, op_kind::redo_step), (std::pair<std::int64_t, ticks>(3, 9)));
  EXPECT_EQ(count(calm, op_kind::forward).first, 24);
  EXPECT_GT(count(rolls_back, op_kind::forward).first, 24);
}

}  // namespace
}  // namespace shunt::tests::step_validation_test
