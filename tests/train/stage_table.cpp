#include "shunt/train/stage_table.hpp"

#include <gtest/gtest.h>

#include "support/dense_model.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::stage_table_test {
namespace {

struct sized_model : dense_model {
  explicit sized_model(stage_sizes s) : of_all(s) {}
  stage_sizes of_all;
  [[nodiscard]] stage_sizes sizes(stage_id) const { return of_all; }
};

TEST(stage_table, sizes_in_bytes_by_stage) {
  pipeline_training training{.job = {.pipelines = 2, .stages = 2, .microbatches = 3}};
  auto const table = stage_table::of(dense_model{.width = 4, .batch = 3}, training);
  auto t = table.tensors(training, 2);
  EXPECT_EQ(t.activation, per_stage({48, 0})) << "the last stage sends nothing";
  EXPECT_EQ(t.gradient[0], 20 * 8);
  EXPECT_EQ(t.state[0], 128 * 3) << "three arrays of 80 bytes";
  EXPECT_EQ(t.sums[1], 0);
  training.only = 1;
  training.gradient_type = element::bfloat16;
  t = table.tensors(training, 1);
  EXPECT_EQ(t.gradient[0], 20 * 2);
  EXPECT_EQ(t.state[0], 128 * 2);
  EXPECT_EQ(t.sums, per_stage({0, 6})) << "losses of six micro-batches";
  auto const p = table.persistent_buffers(training, 1);
  EXPECT_EQ(p.ranks[0].buffers[pipeline_buffers::kept()].size, 256);
}

TEST(stage_table, bad_models_are_named) {
  pipeline_training const training{.job = {.stages = 2}};
  auto const told = [&](auto const& m) {
    return thrown_by([&] { (void)stage_table::of(m, training); });
  };
  EXPECT_EQ(told(dense_model{.count = 3}), "stages: the job has 2, the model has 3");
  EXPECT_EQ(told(sized_model({.parameters = -1})),
            "sizes of stage 0: parameters must be between 0 and 2^48, is -1");
  EXPECT_EQ(told(sized_model({.stash = std::int64_t{1} << 50})),
            "sizes of stage 0: stash must be between 0 and 2^48, is 1125899906842624");
}

}  // namespace
}  // namespace shunt::tests::stage_table_test
