#include <gtest/gtest.h>

#include <optional>

#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::stage_runs_test {
namespace {

// Pipeline 0 on two ranks, pipeline 1 on three, with numbers in no order.
pipeline_job two_and_three() {
  return {.pipelines = 2,
          .stages = 4,
          .microbatches = {2, 3},
          .layout = stage_layout::custom({4, 4, 0, 0, 3, 1, 1, 2})};
}

TEST(stage_runs, places_of_ranks_with_several_stages_by_hand) {
  auto const runs = runs_of(two_and_three());
  ASSERT_FALSE(runs.empty());
  EXPECT_EQ(runs[4], (stage_run{.pipeline = 0, .first = 0, .last = 1, .place = 0, .ranks = 2}));
  EXPECT_EQ(runs[0], (stage_run{.pipeline = 0, .first = 2, .last = 3, .place = 1, .ranks = 2}));
  EXPECT_EQ(runs[3], (stage_run{.pipeline = 1, .first = 0, .last = 0, .place = 0, .ranks = 3}));
  EXPECT_EQ(runs[1], (stage_run{.pipeline = 1, .first = 1, .last = 2, .place = 1, .ranks = 3}));
  EXPECT_EQ(runs[2], (stage_run{.pipeline = 1, .first = 3, .last = 3, .place = 2, .ranks = 3}));
}

TEST(stage_runs, a_linear_layout_has_a_run_a_stage) {
  pipeline_job const job{.pipelines = 2, .stages = 3};
  auto const runs = runs_of(job);
  ASSERT_FALSE(runs.empty());
  for (std::int32_t p = 0; p < 2; ++p)
    for (std::int32_t s = 0; s < 3; ++s)
      EXPECT_EQ(runs[job.rank_of({p, s})],
                (stage_run{.pipeline = p, .first = s, .last = s, .place = s, .ranks = 3}));
}

TEST(stage_runs, other_layouts_have_none) {
  auto const runs = [](std::int32_t pipelines, stage_layout layout) {
    return runs_of({.pipelines = pipelines, .stages = 4, .layout = std::move(layout)});
  };
  EXPECT_TRUE(runs(1, stage_layout::looped(2)).empty());
  EXPECT_TRUE(runs(1, stage_layout::wave(2)).empty());
  EXPECT_TRUE(runs(2, stage_layout::bidirectional()).empty());
  EXPECT_TRUE(runs(1, stage_layout::custom({0, 1, 0, 1})).empty());
  EXPECT_TRUE(runs(2, stage_layout::custom({0, 0, 1, 1, 1, 1, 2, 2})).empty());  // of two pipelines
  EXPECT_FALSE(runs(2, stage_layout::stage_major(2, 4)).empty());
}

TEST(stage_runs, the_cap_of_1f1b_counts_ranks) {
  auto job = two_and_three();
  job.memory = stash_cap::one_f_one_b();
  job.stash = {.forward = {1, 2, 3, 4}, .backward_input = 0};
  EXPECT_EQ(thrown_by([&] { validate(job); }), "nothing thrown");
  EXPECT_EQ(job.stash_limit(4), 2 * (1 + 2));
  EXPECT_EQ(job.stash_limit(0), 1 * (3 + 4));
  EXPECT_EQ(job.stash_limit(3), 3 * 1);
  EXPECT_EQ(job.stash_limit(1), 2 * (2 + 3));
  EXPECT_EQ(job.stash_limit(2), 1 * 4);
  job.layout = stage_layout::custom({0, 1, 0, 1, 2, 3, 2, 3});
  EXPECT_EQ(thrown_by([&] { validate(job); }),
            "memory: 1f1b is for linear layouts, and for custom ones whose ranks have consecutive "
            "stages of one pipeline");
}

}  // namespace
}  // namespace shunt::tests::stage_runs_test
