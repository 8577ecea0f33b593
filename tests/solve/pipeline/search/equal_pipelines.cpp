#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "support/text.hpp"

namespace shunt::tests::equal_pipelines_test {
namespace {

using namespace detail;

TEST(equal_pipelines, what_makes_pipelines_unequal) {
  pipeline_job const job{.pipelines = 3, .stages = 4, .microbatches = 2, .transfer = {1, 2, 4}};
  auto with = [&](auto const& edit) {
    auto other = job;
    other.transfer = 1;
    edit(other);
    return pipelines_are_equal(other);
  };
  EXPECT_FALSE(pipelines_are_equal(job));  // links within and between nodes
  EXPECT_TRUE(with([](auto&) {}));
  EXPECT_TRUE(with([](auto& j) { j.layout = stage_layout::wave(2); }));
  EXPECT_FALSE(with([](auto& j) { j.dead = {{0, 0}}; }));
  EXPECT_FALSE(with([](auto& j) { j.pipelines = 2, j.layout = stage_layout::bidirectional(); }));
  EXPECT_FALSE(with([](auto& j) { j.memory = stash_cap::per_rank({1}); }));
  EXPECT_FALSE(with([](auto& j) { j.microbatches = {2, 2, 3}; }));
  EXPECT_TRUE(with([](auto& j) { j.microbatches = {2, 2, 2}; }));
  EXPECT_TRUE(with([](auto& j) { j.layout = stage_layout::stage_major(3, 4); }));
  EXPECT_FALSE(
      with([](auto& j) { j.layout = stage_layout::custom({0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}); }));
}

TEST(equal_pipelines, a_plan_of_one_is_a_plan_of_all) {
  pipeline_job const job{.pipelines = 3, .stages = 2, .microbatches = 4, .costs = {.step = 1}};
  auto const one = one_f_one_b{}(first_pipeline(job));
  auto const all = copied_to_all(job, one.plan);
  EXPECT_EQ(all, one_f_one_b{}(job).plan);
  EXPECT_EQ(lines(check(job, all)), "");
  EXPECT_EQ(static_cast<double>(period(job, all)), one.objective);
  auto other = job;
  other.layout = stage_layout::stage_major(3, 2);
  EXPECT_EQ(copied_to_all(other, one_f_one_b{}(first_pipeline(other)).plan),
            one_f_one_b{}(other).plan);
}

}  // namespace
}  // namespace shunt::tests::equal_pipelines_test
