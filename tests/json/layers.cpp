#include "shunt/json/layers.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "shunt/json/solution.hpp"
#include "shunt/solve/pipeline/layer_planner.hpp"
#include "support/json.hpp"
#include "support/layer_jobs.hpp"

namespace shunt::tests::json_layers_test {
namespace {

TEST(layers, jobs_and_plans_read_back_equal) {
  auto job = layers_of({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, 2, 4, 1);
  job.pipelines = 2;
  job.layers[1].state_bytes = 10, job.layers[2].activation_bytes = 11, job.memory = 1000;
  expect_round_trip(job);
  auto const answer = layer_planner{}(job);
  expect_round_trip(answer.plan);
  expect_round_trip(answer);
  nlohmann::json const document = answer.plan;
  EXPECT_EQ(document["stages"][0][0], 0);
}

TEST(layers, what_is_missing_or_unknown_is_named) {
  nlohmann::json document = layers_of({{1, 2, 3}}, 1, 4);
  document["layers"][0].erase("forward");
  EXPECT_NE(refusal<layer_job>(document).find("layers[0]"), std::string::npos);
  document = layers_of({{1, 2, 3}}, 1, 4);
  document["chunks"] = 2;
  EXPECT_EQ(refusal<layer_job>(document), "chunks: is not known here");
  document.erase("chunks");
  for (char const* const optional : {"pipelines", "transfer", "memory"}) document.erase(optional);
  EXPECT_EQ(refusal<layer_job>(document), "");
}

}  // namespace
}  // namespace shunt::tests::json_layers_test
