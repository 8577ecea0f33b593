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
      {with([](auto& j) { j.costs.forward = {1, 2}; }), "costs.forward", "2 values for 3 stages"},
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
