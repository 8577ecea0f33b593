#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "shunt/problem/measured_costs.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::measured_costs_test {
namespace {

TEST(measured_costs, a_slow_rank_is_slow_at_all_its_stages) {
  pipeline_job job{.pipelines = 2, .stages = 4, .microbatches = 2};
  job.layout = stage_layout::looped(2);
  job.costs = {{10, 20, 30, 40}, 10, 0, 3};
  auto const costs = slowed(job, {1, 0}, 1.25);
  EXPECT_EQ(costs.forward, per_stage(std::vector<ticks>{10, 20, 30, 40, 13, 20, 38, 40}));
  EXPECT_EQ(costs.backward_input, per_stage(std::vector<ticks>{10, 10, 10, 10, 13, 10, 13, 10}));
  EXPECT_EQ(costs.step, job.costs.step);
  job.dead = {{0, 1}};
  auto const refused = [&](worker w, double factor) {
    try {
      (void)slowed(job, w, factor);
    } catch (invalid_problem const& error) {
      return std::string(error.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_EQ(refused({0, 1}, 2), "slow: worker 0:1 is dead");
  EXPECT_EQ(refused({2, 0}, 2), "slow: worker 2:0 is not one of 2 pipelines x 4 stages");
  EXPECT_EQ(refused({1, 0}, .5),
            "slow: worker 1:0 must be slower by a factor of at least 1, is by 0.5");
  EXPECT_EQ(refused({1, 0}, 1.01),
            "slow: worker 1:0 takes 10 ticks, too few to show a factor of 1.01");
}

TEST(measured_costs, seconds_are_rounded_to_the_nearest_tick) {
  EXPECT_EQ(ticks_from_seconds(1.9e-3, 1e-3), 2);
  EXPECT_EQ(ticks_from_seconds(1.4e-3, 1e-3), 1);
  EXPECT_EQ(ticks_from_seconds(2.5, 1), 3);
  EXPECT_EQ(ticks_from_seconds(0.4, 1), 0);
  EXPECT_EQ(ticks_from_seconds(0.4, 1, 1), 1);
  auto const costs = costs_from_seconds({1.9e-3, 2.2e-3}, {2e-3}, {1e-4}, {4.4e-3}, 1e-3);
  EXPECT_EQ(costs,
            (stage_costs{.forward = {2, 2}, .backward_input = 2, .backward_weight = 0, .step = 4}));
  // What must take a tick does.
  EXPECT_EQ(costs_from_seconds({1e-9}, {1e-9}, {0}, {0}, 1e-3),
            (stage_costs{.forward = 1, .backward_input = 1, .backward_weight = 0, .step = 0}));
  EXPECT_NO_THROW(validate(pipeline_job{.stages = 2, .microbatches = 3, .costs = costs}));
}

TEST(measured_costs, what_is_no_time_is_named) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   inf = std::numeric_limits<double>::infinity();
  auto const refused = [](std::vector<double> const& forward, std::vector<double> const& step,
                          double tick) {
    return thrown_by([&] { static_cast<void>(costs_from_seconds(forward, {1}, {1}, step, tick)); });
  };
  EXPECT_EQ(refused({1, -0.5}, {1}, 1), "forward[1]: must be at least 0 and finite, is -0.5");
  EXPECT_EQ(refused({1}, {nan}, 1), "step: must be at least 0 and finite, is nan");
  EXPECT_EQ(refused({inf}, {1}, 1), "forward: must be at least 0 and finite, is inf");
  EXPECT_EQ(refused({}, {1}, 1), "forward: has no value");
  for (double const tick : {0.0, -1.0, inf, nan})
    EXPECT_EQ(refused({1}, {1}, tick).find("seconds_per_tick: must be above 0 and finite, is "),
              0u);
  EXPECT_EQ(refused({1e10}, {1}, 1e-9),
            "forward: is 1e+10 seconds: ticks of 1e-09 seconds add up beyond 61 bits");
  EXPECT_EQ(refused({1e300}, {1}, 1e-300).find("forward: is 1e+300 seconds"), 0u);
}

}  // namespace
}  // namespace shunt::tests::measured_costs_test
