#include "shunt/measure/template_times.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/measure/pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/random_cases.hpp"
#include "support/templates.hpp"

namespace shunt::tests::template_times_test {
namespace {

// The makespan of the schedule that one_f_one_b plans for such stages.
TEST(template_times, makespan_is_that_of_the_schedule) {
  random_cases d(51);
  for (int round = 0; round < 500; ++round) {
    SCOPED_TRACE(round);
    auto const stages = d.roll(1, 6);
    pipeline_job job{.pipelines = 1, .stages = stages, .microbatches = d.roll(1, 12)};
    job.costs.forward = d.costs(stages, 1, 9);
    job.costs.backward_input = d.costs(stages, 1, 9);
    job.costs.backward_weight = d.costs(stages, 0, 9);
    std::vector<stage_time> times;
    for (std::int32_t s = 0; s < stages; ++s)
      times.push_back(
          {static_cast<double>(job.costs.forward[s]),
           static_cast<double>(job.costs.backward_input[s] + job.costs.backward_weight[s])});
    auto const plan = one_f_one_b{}(job).plan;
    EXPECT_EQ(one_f_one_b_makespan(times, job.microbatches[0]),
              static_cast<double>(makespan(job, plan)));
  }
}

TEST(template_times, equal_stages_take_m_plus_s_minus_1) {
  for (std::int64_t stages = 1; stages <= 6; ++stages)
    for (std::int64_t m = 1; m <= 12; ++m)
      EXPECT_EQ(one_f_one_b_makespan(
                    std::vector<stage_time>(static_cast<std::size_t>(stages), {1, 2}), m),
                static_cast<double>(3 * (m + stages - 1)));
}

TEST(template_times, published_time_goes_to_the_last_of_equal_stages) {
  EXPECT_EQ(published_time(std::vector<stage_time>{{6, 12}}), 72);
  EXPECT_EQ(published_time(std::vector<stage_time>{{3, 6}, {3, 6}}), 81);
  EXPECT_EQ(published_time(std::vector<stage_time>{{4, 8}, {2, 4}}), 18 + 5 * 12 + 18);
}

TEST(template_times, reductions_within_a_node_count_in_both_directions) {
  auto const problem = template_case({{3, 6}, {1, 1}}, 1, 4, {0.5, 0.25});
  EXPECT_EQ(time_of_stage(problem, 0, 2, 1), (stage_time{4, 7}));
  EXPECT_EQ(time_of_stage(problem, 0, 2, 2), (stage_time{3, 4.5}));
  EXPECT_EQ(time_of_stage(problem, 1, 2, 4), (stage_time{0.5, 0.5}));
  std::vector<template_stage> const stages{{0, 1, 2}, {1, 2, 2}};
  EXPECT_EQ(stage_times(problem, stages), (std::vector<stage_time>{{2, 3.5}, {1, 1}}));
}

}  // namespace
}  // namespace shunt::tests::template_times_test
