#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::one_f_one_b_test {
namespace {

TEST(one_f_one_b, fills_the_warm_up) {
  auto const plan = one_f_one_b{}.order({.stages = 3, .microbatches = 4});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 F2 B0 F3 B1 B2 B3 S");
  EXPECT_EQ(short_form(plan, 1), "F0 F1 B0 F2 B1 F3 B2 B3 S");
  EXPECT_EQ(short_form(plan, 2), "F0 B0 F1 B1 F2 B2 F3 B3 S");
}

TEST(one_f_one_b, a_cap_shortens_the_warm_up) {
  auto const plan =
      one_f_one_b{}.order({.stages = 3, .microbatches = 4, .memory = stash_cap::per_worker(2)});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 B0 F2 B1 F3 B2 B3 S");
}

// Pipeline 0 has two ranks, pipeline 1 three, and fewer micro-batches. In-flight of rank i of s:
// s - i.
TEST(one_f_one_b, pipelines_of_different_lengths_by_hand) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 4,
                         .microbatches = {3, 2},
                         .memory = stash_cap::one_f_one_b(),
                         .layout = stage_layout::custom({4, 4, 0, 0, 3, 1, 1, 2})};
  auto const answer = one_f_one_b{}(job);
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_TRUE(check(job, answer.plan).empty());
  using k = op_kind;
  std::vector<operation> const steps = {{.kind = k::step, .stage = 0},
                                        {.kind = k::step, .stage = 1}};
  std::vector<operation> first = {
      {k::forward, 0, 0, 0},  {k::forward, 0, 1, 0},  {k::forward, 0, 0, 1},
      {k::forward, 0, 1, 1},  {k::backward, 0, 1, 0}, {k::backward, 0, 0, 0},
      {k::forward, 0, 0, 2},  {k::forward, 0, 1, 2},  {k::backward, 0, 1, 1},
      {k::backward, 0, 0, 1}, {k::backward, 0, 1, 2}, {k::backward, 0, 0, 2}};
  first.insert(first.end(), steps.begin(), steps.end());
  EXPECT_EQ(answer.plan.order[4], first);
  EXPECT_EQ(answer.plan.order[3], (std::vector<operation>{{k::forward, 1, 0, 0},
                                                          {k::forward, 1, 0, 1},
                                                          {k::backward, 1, 0, 0},
                                                          {k::backward, 1, 0, 1},
                                                          {.kind = k::step, .stage = 0}}));
  EXPECT_EQ(stash_peak(job, answer.plan).items(), (std::vector<std::int64_t>{2, 4, 1, 2, 4}));
}

// Two ranks a pipeline of four equal stages: the makespan of 1F1B with stages twice as long, and
// the numbers of the ranks change nothing.
TEST(one_f_one_b, ranks_with_several_stages_count_as_one_stage) {
  pipeline_job const coarse{
      .pipelines = 2, .stages = 2, .microbatches = {5, 3}, .costs = {2, 2, 2}};
  pipeline_job const fine{.pipelines = 2,
                          .stages = 4,
                          .microbatches = {5, 3},
                          .layout = stage_layout::custom({2, 2, 0, 0, 1, 1, 3, 3})};
  for (auto const& makespans :
       {std::pair(makespan(coarse, one_f_one_b{}(coarse).plan),
                  makespan(fine, one_f_one_b{}(fine).plan)),
        std::pair(makespan(coarse, gpipe{}(coarse).plan), makespan(fine, gpipe{}(fine).plan))})
    EXPECT_EQ(makespans.first, makespans.second);
  EXPECT_EQ(makespan(coarse, one_f_one_b{}(coarse).plan), (5 + 2 - 1) * 6);
  EXPECT_TRUE(check(fine, zb_h1{}(fine).plan).empty());
}

}  // namespace
}  // namespace shunt::tests::one_f_one_b_test
