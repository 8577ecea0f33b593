#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt::tests::pipeline_job_test {
namespace {

// What a broken job is told: the field, and the value in the text.
struct refusal {
  pipeline_job job;
  std::string field, part;
};

TEST(pipeline_job, broken_jobs_are_told_what_is_wrong) {
  constexpr ticks huge = std::numeric_limits<ticks>::max() / 4;
  auto const with = [](auto const& edit) {
    pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 4};
    edit(job);
    return job;
  };
  std::vector<refusal> const all = {
      {with([](auto& j) { j.pipelines = 0; }), "pipelines", "is 0"},
      {with([](auto& j) { j.stages = -1; }), "stages", "is -1"},
      {with([](auto& j) { j.microbatches = 0; }), "microbatches", "is 0"},
      {with([](auto& j) { j.pipelines = j.stages = 1 << 20; }), "pipelines", "32 bits"},
      {with([](auto& j) { j.microbatches = 1 << 30; }), "microbatches", "32 bits"},
      {with([](auto& j) { j.costs.forward = 0; }), "costs.forward", "is 0"},
      {with([](auto& j) { j.costs.forward = {1, 2}; }), "costs.forward",
       "2 values for 3 stages and 6 workers"},
      {with([](auto& j) { j.costs.forward = {1, 2, 3, 4, 5, 0}; }), "costs.forward[5]", "is 0"},
      {with([](auto& j) { j.costs.step = {0, 0, 0, 1, -2, 1}; }), "costs.step[4]", "is -2"},
      {with([](auto& j) {
         j.costs.forward = {1, 1, 1, 2, 1, 1};
         j.layout = stage_layout::custom({0, 1, 2, 0, 1, 2});
       }),
       "costs.forward[3]", "is 2, and 1 in pipeline 0 on the same rank"},
      {with([](auto& j) { j.lengths = {1, 2, 3}; }), "lengths", "3 values for 8 micro-batches"},
      {with([](auto& j) { j.lengths = {1, 2, 3, 4, 5, 0, 7, 8}; }), "lengths[5]", "is 0"},
      {with([](auto& j) {
         j.costs.forward = ticks{1} << 35;
         j.lengths.assign(8, std::numeric_limits<std::int32_t>::max());
       }),
       "costs.forward", "62 bits"},
      {with([](auto& j) { j.costs.backward_weight = {1, 1, 1, 1, 1, ticks{1} << 60}; }),
       "costs.backward_weight[5]", "62 bits"},
      {with([](auto& j) { j.transfer = transfer_times(2, {0, 1, 1, 0}); }), "transfer",
       "4 values for 6 x 6 ranks"},
      {with([](auto& j) {
         j.transfer = transfer_times(6, std::vector<ticks>(36, 1));
         j.transfer.matrix[13] = -3;
       }),
       "transfer", "from rank 2 to 1 must be at least 0, is -3"},
      {with([](auto& j) {
         j.transfer = transfer_times(6, std::vector<ticks>(36, 1));
         j.transfer.within_node = 2;
       }),
       "transfer", "no classes beside a matrix"},
      {with([](auto& j) { j.costs.backward_input = {1, 0, 1}; }), "costs.backward_input[1]",
       "is 0"},
      {with([](auto& j) { j.costs.backward_weight = {1, 0, -5}; }), "costs.backward_weight[2]",
       "is -5"},
      {with([](auto& j) { j.costs.step = -1; }), "costs.step", "is -1"},
      {with([](auto& j) { j.transfer = -2; }), "transfer", "is -2"},
      {with([&](auto& j) { j.costs.forward = huge; }), "costs.forward", "62 bits"},
      {with([&](auto& j) { j.transfer = huge; }), "transfer", "62 bits"},
      {with([](auto& j) { j.memory = stash_cap::per_worker(0); }), "memory", "is 0"},
      {with([](auto& j) { j.stash.forward = 0; }), "stash.forward", "at least 1, is 0"},
      {with([](auto& j) { j.stash.backward_input = -1; }), "stash.backward_input", "is -1"},
      {with([](auto& j) { j.stash.forward = ticks{1} << 57; }), "stash.forward", "61 bits"},
      {with([](auto& j) { j.stash.forward = std::numeric_limits<ticks>::max(); }), "stash.forward",
       "61 bits"},
      {with([](auto& j) { j.dead = {{0, 0}, {2, 1}}; }), "dead[1]", "worker 2:1 is not one of"},
      {with([](auto& j) { j.dead = {{1, 1}, {1, 1}}; }), "dead[1]", "worker 1:1 is named twice"},
  };
  for (auto const& [job, field, part] : all) {
    auto const expect = [&](auto const& act) {
      try {
        act(job);
        ADD_FAILURE() << field << ": nothing thrown";
      } catch (invalid_problem const& refused) {
        EXPECT_EQ(refused.field(), field);
        EXPECT_NE(std::string(refused.what()).find(part), std::string::npos) << refused.what();
      }
    };
    expect([](auto const& j) { validate(j); });
    expect([](auto const& j) { (void)one_f_one_b{}(j); });
    expect([](auto const& j) { (void)check(j, {}); });
    expect([](auto const& j) { (void)lower(j, {}); });
  }
}

TEST(pipeline_job, costs_are_those_of_the_rank_that_computes) {
  pipeline_job job{.pipelines = 2, .stages = 4, .microbatches = 1};
  job.costs.forward = {1, 2, 3, 4, 5, 6, 7, 8};
  for (auto const& layout :
       {stage_layout::linear(), stage_layout::looped(2), stage_layout::wave(2),
        stage_layout::bidirectional(), stage_layout::custom({0, 1, 1, 0, 2, 3, 2, 3})}) {
    job.layout = layout;
    for (std::int32_t p = 0; p < 2; ++p)
      for (std::int32_t s = 0; s < 4; ++s) {
        EXPECT_EQ(job.pipeline_of(job.rank_of({p, s}), s), p);
        EXPECT_EQ(job.cost_on(job.costs.forward, job.rank_of({p, s}), s), p * 4 + s + 1);
      }
  }
  EXPECT_TRUE(job.uneven());
  EXPECT_EQ(job.costs.forward[2], 3);
  job.costs.forward = {1, 2, 3, 4};
  EXPECT_FALSE(job.uneven());
  EXPECT_EQ(job.cost_on(job.costs.forward, 3, 1), 2);
  job.microbatches = {1, 2};
  job.lengths = {4, 5, 6};
  EXPECT_TRUE(job.uneven());
  EXPECT_EQ(job.length_of(1, 1), 6);
}

TEST(pipeline_job, zero_costs_that_are_allowed) {
  pipeline_job const job{
      .stages = 3, .microbatches = 4, .costs = {.backward_weight = 0, .step = 0}};
  auto const plan = zb_h1{}(job).plan;
  EXPECT_TRUE(check(job, plan, times(job, plan)).empty());
}

// Two micro-batches of 3 GB under a cap of 8 GiB: plans hold two at once.
TEST(pipeline_job, stashes_are_weighed_in_bytes) {
  pipeline_job const job{.stages = 4,
                         .microbatches = 6,
                         .memory = stash_cap::per_worker(ticks{8} << 30),
                         .stash = {.forward = 3'000'000'000, .backward_input = 1'000'000'000}};
  auto const plan = zero_bubble{}(job).plan;
  EXPECT_TRUE(check(job, plan).empty());
  auto const peaks = stash_peak(job, plan).items();
  EXPECT_EQ(*std::max_element(peaks.begin(), peaks.end()), 8'000'000'000);
  auto tight = job;
  tight.memory = stash_cap::per_worker(2'999'999'999);
  EXPECT_FALSE(zero_bubble{}(tight).has_plan());
}

}  // namespace
}  // namespace shunt::tests::pipeline_job_test
