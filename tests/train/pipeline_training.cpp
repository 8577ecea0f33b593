#include "shunt/train/pipeline_training.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "support/refusals.hpp"

namespace shunt::tests::pipeline_training_test {
namespace {

TEST(pipeline_training, bad_fields_are_named) {
  auto const told = [](auto&& change) {
    pipeline_training t{.job = {.pipelines = 2, .stages = 2, .microbatches = 2}};
    change(t);
    return thrown_by([&] { validate(t); });
  };
  EXPECT_EQ(told([](auto&) {}), "nothing thrown");
  EXPECT_EQ(told([](auto& t) { t.clip = 0; }), "clip: must be a number above 0");
  EXPECT_EQ(told([](auto& t) { t.clip = std::numeric_limits<double>::quiet_NaN(); }),
            "clip: must be a number above 0");
  EXPECT_EQ(told([](auto& t) { t.iterations = 0; }),
            "iterations: must be between 1 and 1000000, is 0");
  EXPECT_EQ(told([](auto& t) { t.gradient_type = element::bytes; }),
            "gradient_type: bytes elements can't hold gradients");
  EXPECT_EQ(told([](auto& t) { t.only = 4; }), "only: rank 4 is not one of 0..3");
  auto const many = [](auto& t) { t.job.microbatches = 1 << 16; };
  EXPECT_EQ(told(many),
            "microbatches: at most 65536 in all pipelines fit the gradient's fixed point");
  EXPECT_EQ(told([&](auto& t) {
              many(t);
              t.gradient_type = element::float32;
            }),
            "nothing thrown");
}

}  // namespace
}  // namespace shunt::tests::pipeline_training_test
