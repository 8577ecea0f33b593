#include "shunt/plan/layer_partition.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/problem/pipeline_job.hpp"
#include "support/layer_jobs.hpp"

namespace shunt::tests::layer_partition_test {
namespace {

TEST(layer_partition, an_even_cut_gives_the_rest_to_the_first_stages) {
  EXPECT_EQ(even_cut(7, 3), (std::vector<layer_range>{{0, 3}, {3, 5}, {5, 7}}));
  EXPECT_EQ(even_cut(4, 4), (std::vector<layer_range>{{0, 1}, {1, 2}, {2, 3}, {3, 4}}));
  EXPECT_EQ(even_cut(2, 1), (std::vector<layer_range>{{0, 2}}));
}

TEST(layer_partition, a_stage_sums_its_layers_and_a_rank_keeps_what_states_leave) {
  auto job = layers_of({{1, 0, 0}, {2, 3, 4}, {5, 6, 7}, {8, 9, 10}}, 2, 3, 1);
  job.pipelines = 2;
  job.memory = 100;
  for (std::size_t l = 0; l < 4; ++l) {
    job.layers[l].state_bytes = static_cast<byte_count>(10 * l);
    job.layers[l].activation_bytes = static_cast<byte_count>(l);
  }
  auto const made =
      pipeline_job_of(job, {{0, 1}, {1, 2}, {2, 3}, {3, 4}}, stage_layout::v_shaped());
  EXPECT_NO_THROW(validate(made));
  EXPECT_EQ(made.ranks(), 4);
  EXPECT_EQ(made.costs.forward, (per_stage{1, 2, 5, 8}));
  EXPECT_EQ(made.costs.backward_input, (per_stage{1, 3, 6, 9}));
  EXPECT_EQ(made.costs.backward_weight, (per_stage{0, 4, 7, 10}));
  EXPECT_EQ(made.stash.forward, (per_stage{1, 1, 2, 3}));
  EXPECT_EQ(made.memory.limits, (std::vector<std::int64_t>{70, 70, 70, 70}));
  auto const linear = pipeline_job_of(job, {{0, 3}, {3, 4}}, stage_layout::linear());
  EXPECT_EQ(linear.costs.forward, (per_stage{8, 8}));
  EXPECT_EQ(linear.stash.forward, (per_stage{3, 3}));
  EXPECT_EQ(linear.memory.limits, (std::vector<std::int64_t>{70, 70, 70, 70}));
  job.memory = 0;
  EXPECT_EQ(pipeline_job_of(job, {{0, 3}, {3, 4}}, stage_layout::linear()).memory,
            stash_cap::none());
}

}  // namespace
}  // namespace shunt::tests::layer_partition_test
