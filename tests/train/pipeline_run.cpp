#include "shunt/train/pipeline_run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "support/dense_training.hpp"

namespace shunt::tests::pipeline_run_test {
namespace {

static_assert(pipeline_trainee<dense_work>);

pipeline_training training(std::int64_t iterations = 6) {
  return dense_training(3, 3, 3, iterations);
}

thread_executor with(std::vector<failure_point> failures) {
  return {.failures = std::move(failures), .timeout = std::chrono::milliseconds(5)};
}

TEST(pipeline_run, losses_are_the_same_bits_through_losses_and_joins) {
  for (bool const validated : {false, true})
    for (bool const stagger : {true, false}) {
      auto t = training(9);
      if (validated) t.clip = 0.1;
      auto work = dense_work_of(t);
      pipeline_run run(work, slipstream{.stagger = stagger});
      std::vector<std::int64_t> planned_for;
      run.on_plan = [&](planned_iteration const&, std::int64_t i) { planned_for.push_back(i); };
      auto const report = run(with({{4, 1, 9}, {0, 2, 12}, {4, 6, 5}}), {{4, 4}, {0, 5}});
      EXPECT_EQ(report.stopped, "");
      EXPECT_EQ(report.joined.size(), 2U);
      EXPECT_EQ(run.losses(), undisturbed(t).losses);
      EXPECT_EQ(run.iterations().at(3).live, 7);
      EXPECT_EQ(planned_for.front(), 0);
      // Rank 4 may be ahead of a rank that has not completed iteration 5.
      EXPECT_GE(planned_for.back(), 5);
      EXPECT_LE(planned_for.back(), 6);
    }
}

// The same 9 micro-batches dealt over pipelines and ranks in several ways.
TEST(pipeline_run, losses_do_not_depend_on_how_pipelines_share_the_microbatches) {
  auto t = training();
  auto const reference = undisturbed(t).losses;
  for (per_pipeline const& counts : {per_pipeline{5, 3, 1}, per_pipeline{1, 2, 6}})
    for (stage_layout const& layout : {stage_layout::linear(), stage_layout::stage_major(3, 3),
                                       stage_layout::custom({0, 0, 1, 2, 3, 4, 5, 6, 6})})
      for (bool const salvages : {false, true}) {
        t.job.microbatches = counts;
        t.job.layout = layout;
        auto work = dense_work_of(t);
        pipeline_run run(work);
        if (salvages) run.salvage();
        auto const report = run(with({{4, 1, 9}, {0, 2, 12}}));
        EXPECT_EQ(report.stopped, "");
        EXPECT_EQ(run.losses(), reference);
      }
}

TEST(pipeline_run, a_salvaged_iteration_has_the_same_bits) {
  auto const t = training();
  auto const reference = undisturbed(t).losses;
  std::int64_t kept = 0;
  for (std::int32_t at = 0; at < 40; at += 3) {
    auto work = dense_work_of(t);
    pipeline_run run(work);
    run.salvage();
    auto const report = run(with({{4, 2, at}}));
    EXPECT_EQ(run.losses(), reference) << at;
    for (auto const& l : report.losses) kept += l.kept;
  }
  EXPECT_GT(kept, 20);
  auto validated = t;
  validated.validate = true;
  auto work = dense_work_of(validated);
  pipeline_run run(work);
  EXPECT_THROW(run.salvage(), invalid_problem);
}

TEST(pipeline_run, the_last_rank_of_a_stage_ends_the_run) {
  auto const t = training();
  auto work = dense_work_of(t);
  pipeline_run run(work);
  auto const report = run(inline_executor{.failures = {{1, 1, 3}, {4, 2, 3}, {7, 3, 3}}});
  EXPECT_EQ(report.end, 3);
  EXPECT_NE(report.stopped, "");
  auto all = undisturbed(t).losses;
  all.resize(3);
  EXPECT_EQ(run.losses(), all);
}

TEST(pipeline_run, ranks_that_are_dead_at_the_start_take_no_part) {
  auto t = training();
  t.job.dead = {{1, 1}};
  auto work = dense_work_of(t);
  pipeline_run run(work);
  EXPECT_EQ(run(with({})).end, t.iterations);
  EXPECT_EQ(run.losses(), undisturbed(t).losses);
  EXPECT_EQ(run.iterations().front().live, 8);
}

TEST(pipeline_run, floating_gradients_train_through_losses_too) {
  auto t = training(20);
  auto const exact = undisturbed(t).losses;
  t.gradient_type = element::bfloat16;
  auto work = dense_work_of(t);
  pipeline_run run(work);
  EXPECT_EQ(run(with({{4, 5, 9}})).end, t.iterations);
  EXPECT_NEAR(run.iterations().back().loss / exact.back(), 1, 0.01);
}

}  // namespace
}  // namespace shunt::tests::pipeline_run_test
