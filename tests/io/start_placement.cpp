#include "shunt/io/start_placement.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace shunt::tests::start_placement_test {
namespace {

std::string written(start_format format) {
  expert_placement const plan{
      .layers = 2, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 2, 0, 1, 1, 1, 2, 0}};
  std::ostringstream out;
  write_start_placement(out, format, plan, std::vector<std::int64_t>{1, 3});
  return out.str();
}

TEST(start_placement, vllm_reads_a_row_for_each_layer_with_experts) {
  EXPECT_EQ(written(start_format::vllm), "[\n[0, 2, 0, 1],\n[1, 1, 2, 0]\n]\n");
}

TEST(start_placement, sglang_reads_a_row_for_every_layer_of_the_model) {
  EXPECT_EQ(written(start_format::sglang),
            "{\"physical_to_logical_map\": [\n[0, 1, 2, 0],\n[0, 2, 0, 1],\n[0, 1, 2, 0],\n"
            "[1, 1, 2, 0]\n]}\n");
}

TEST(start_placement, tensorrt_llm_reads_layers_by_number) {
  EXPECT_EQ(written(start_format::trtllm),
            "num_slots: 4\ninitial_global_assignments:\n  1: [0, 2, 0, 1]\n  3: [1, 1, 2, 0]\n"
            "layer_updates_per_iter: 0\n");
}

}  // namespace
}  // namespace shunt::tests::start_placement_test
