#include "shunt/train/stream_pipeline_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_work.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "support/dense_model.hpp"
#include "support/dense_on_streams.hpp"
#include "support/host_streams.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::stream_pipeline_work_test {
namespace {

using work_on_streams_of = stream_pipeline_work<least_device, dense_on_streams>;
static_assert(pipeline_trainee<work_on_streams_of>);
static_assert(stream_work<work_on_streams_of, least_device::stream_ref>);

pipeline_training training(std::int64_t iterations = 6) {
  return {.job = {.pipelines = 2, .stages = 3, .microbatches = 3, .costs = {1, 1, 1, 3}},
          .iterations = iterations};
}

std::vector<double> on_host(pipeline_training const& t) {
  pipeline_work work(dense_model{.count = 3}, t);
  return train_without_failures(work, inline_executor{});
}

std::vector<double> losses_of(auto const& run) {
  std::vector<double> all;
  for (auto const& i : run.iterations()) all.push_back(i.loss);
  return all;
}

void expect_near(std::vector<double> const& found, std::vector<double> const& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i] / expected[i], 1, 1e-4) << i;
}

TEST(stream_pipeline_work, trains_as_the_host_does_through_losses_and_joins) {
  for (bool const validated : {false, true}) {
    auto t = training(8);
    if (validated) t.clip = 0.1;
    std::vector<double> reference;
    for (std::uint64_t seed = 1; seed < 5; ++seed) {
      least_device device(seed);
      work_on_streams_of work(device, {dense_model{.count = 3}}, t);
      pipeline_run run(work);
      std::vector<failure_point> failures;
      std::vector<join> joins;
      if (seed > 1) failures = {{4, 2, static_cast<std::int32_t>(7 * seed)}};
      if (seed > 2) joins = {{4, 5}};
      auto const losses = [&] {
        if (seed % 2 == 0)
          run(graph_executor<host_streams>{.system = &device.streams(), .failures = failures},
              joins);
        else
          run(stream_executor<host_streams>{.system = &device.streams(), .failures = failures},
              joins);
        return losses_of(run);
      }();
      if (seed == 1) {
        reference = losses;
        expect_near(losses, on_host(t));
      }
      EXPECT_EQ(losses, reference) << seed;
    }
  }
}

TEST(stream_pipeline_work, holders_of_a_stage_have_the_same_parameters) {
  auto const t = training();
  least_device device(3);
  work_on_streams_of work(device, {dense_model{.count = 3}}, t);
  auto const losses =
      train_without_failures(work, stream_executor<host_streams>{.system = &device.streams()});
  expect_near(losses, on_host(t));
  for (stage_id const s : ids<stage_id>(3))
    EXPECT_EQ(work.parameters(t.job.rank_of({0, s}), s), work.parameters(t.job.rank_of({1, s}), s));
  EXPECT_FALSE(work.first_overflow());
}

TEST(stream_pipeline_work, what_streams_cannot_do_is_refused) {
  least_device device(1);
  auto const told = [&](auto&& change) {
    auto t = training();
    change(t);
    return thrown_by([&] { work_on_streams_of(device, {dense_model{.count = 3}}, t); });
  };
  EXPECT_EQ(told([](auto& t) { t.only = 0; }), "only: workers on streams are all in one process");
  EXPECT_EQ(told([](auto& t) { t.rollback = rollback::inverse; }),
            "rollback: steps on streams go back to the kept state");
  EXPECT_EQ(told([](auto& t) { t.gradient_type = element::bfloat16; }),
            "gradient_type: on streams gradients are int64");
  EXPECT_EQ(told([](auto& t) { t.job.stages = 2; }), "stages: the job has 2, the model has 3");
}

}  // namespace
}  // namespace shunt::tests::stream_pipeline_work_test
