#include "shunt/problem/layer_job.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "support/layer_jobs.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::layer_job_test {
namespace {

TEST(layer_job, refusals_name_field_layer_and_value) {
  auto const refusal = [](auto const& change) {
    auto job = layers_of({{1, 1, 1}, {2, 2, 2}, {3, 3, 3}}, 2, 4);
    change(job);
    return thrown_by([&] { validate(job); });
  };
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(refusal([](auto&) {}), "nothing thrown");
  EXPECT_EQ(refusal([](auto& j) { j.layers.clear(); }), "layers: there is none");
  EXPECT_EQ(refusal([](auto& j) { j.ranks = 4; }),
            "layers: are 3, fewer than the 4 ranks of a pipeline");
  EXPECT_EQ(refusal([](auto& j) { j.ranks = 0; }), "ranks: must be at least 1, is 0");
  EXPECT_EQ(refusal([](auto& j) { j.microbatches = -1; }),
            "microbatches: must be at least 1, is -1");
  EXPECT_EQ(refusal([](auto& j) { j.pipelines = 0; }), "pipelines: must be at least 1, is 0");
  EXPECT_EQ(refusal([](auto& j) { j.transfer = -2; }), "transfer: must be at least 0, is -2");
  EXPECT_EQ(refusal([](auto& j) { j.memory = -3; }), "memory: must be at least 0, is -3");
  EXPECT_EQ(refusal([](auto& j) { j.layers[1].forward = -5; }),
            "layers[1].forward: must be at least 0, is -5 (layer layer1)");
  EXPECT_EQ(refusal([](auto& j) { j.layers[2].state_bytes = -1; }),
            "layers[2].state_bytes: must be at least 0, is -1 (layer layer2)");
  EXPECT_EQ(refusal([](auto& j) { j.layers[2].backward_weight = huge; }),
            "layers[2].backward_weight: is 9223372036854775807: the times of one iteration add up "
            "beyond 61 bits (layer layer2)");
  EXPECT_EQ(refusal([](auto& j) { j.layers[0].activation_bytes = huge / 4; }),
            "layers[0].activation_bytes: is 2305843009213693951: the stashes of one iteration add "
            "up beyond 61 bits (layer layer0)");
  EXPECT_EQ(refusal([](auto& j) { j.layers[0].state_bytes = j.layers[1].state_bytes = huge / 4; }),
            "layers[1].state_bytes: is 2305843009213693951: the states add up beyond 61 bits "
            "(layer layer1)");
  EXPECT_EQ(refusal([](auto& j) { j.transfer = huge; }),
            "transfer: is 9223372036854775807: the times of one iteration add up beyond 61 bits");
  EXPECT_EQ(refusal([](auto& j) { j.microbatches = j.pipelines = 2'000'000'000; }),
            "microbatches: pipelines x layers x microbatches is beyond 31 bits");
  EXPECT_EQ(refusal([](auto& j) { j.layers.resize(32'001); }),
            "layers: are 32001, must be at most 32000");
}

}  // namespace
}  // namespace shunt::tests::layer_job_test
