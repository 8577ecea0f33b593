#include "shunt/solve/pipeline/oobleck_templates.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/check/pipeline_template.hpp"
#include "support/refusals.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::oobleck_templates_test {
namespace {

std::string planned(template_problem const& problem) {
  auto const answer = oobleck_templates{}(problem);
  EXPECT_EQ(answer.status, status::feasible) << std::string(answer.reason);
  EXPECT_EQ(lines(check(problem, answer.plan)), "");
  return shown(answer.plan);
}

TEST(oobleck_templates, vector_a) {
  EXPECT_EQ(planned(equal_layers(6, 6)), "1: 72 [0-6)x1\n"
                                         "2: 81 [0-3)x1 [3-6)x1\n"
                                         "3: 78 [0-2)x1 [2-4)x1 [4-6)x1\n"
                                         "4: 90 [0-2)x1 [2-4)x1 [4-5)x1 [5-6)x1\n"
                                         "5: 102 [0-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1\n"
                                         "6: 75 [0-1)x1 [1-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1\n");
}

TEST(oobleck_templates, vector_b) {
  EXPECT_EQ(planned(equal_layers(8, 8)),
            "1: 96 [0-8)x1\n"
            "2: 108 [0-4)x1 [4-8)x1\n"
            "3: 111 [0-3)x1 [3-6)x1 [6-8)x1\n"
            "4: 102 [0-2)x1 [2-4)x1 [4-6)x1 [6-8)x1\n"
            "5: 114 [0-2)x1 [2-4)x1 [4-6)x1 [6-7)x1 [7-8)x1\n"
            "6: 126 [0-2)x1 [2-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n"
            "7: 138 [0-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n"
            "8: 99 [0-1)x1 [1-2)x1 [2-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1 [7-8)x1\n");
}

TEST(oobleck_templates, vector_c) {
  EXPECT_EQ(
      planned(template_case({{1, 2}, {2, 4}, {1, 2}, {3, 3}, {1, 2}, {1, 2}}, 3, 4, {0.1, 0.2})),
      "1: 33.6 [0-6)x4\n"
      "2: 37.8 [0-3)x4 [3-6)x4\n"
      "3: 38.15 [0-2)x4 [2-4)x4 [4-6)x4\n");
}

TEST(oobleck_templates, vector_d) {
  EXPECT_EQ(planned(template_case({{5, 1}, {1, 1}, {1, 1}, {1, 9}, {2, 2}, {4, 4}, {1, 3}}, 5)),
            "1: 144 [0-7)x1\n"
            "2: 172 [0-4)x1 [4-7)x1\n"
            "3: 174 [0-3)x1 [3-5)x1 [5-7)x1\n"
            "4: 184 [0-2)x1 [2-4)x1 [4-6)x1 [6-7)x1\n"
            "5: 182 [0-3)x1 [3-4)x1 [4-5)x1 [5-6)x1 [6-7)x1\n");
}

TEST(oobleck_templates, vector_e) {
  EXPECT_EQ(planned(template_case({{3, 6}, {1, 1}, {1, 1}, {8, 8}}, 4, 2, {0.5})),
            "1: 74 [0-4)x2\n"
            "2: 84.5 [0-3)x2 [3-4)x2\n"
            "3: 108.5 [0-1)x2 [1-3)x2 [3-4)x2\n"
            "4: 135.5 [0-1)x2 [1-2)x2 [2-3)x2 [3-4)x2\n");
}

TEST(oobleck_templates, time_of_the_published_cost_is_no_measure_of_speed) {
  auto const set = templates_of_b();
  EXPECT_GT(set.of(2)->time, set.of(1)->time);  // two nodes, longer
  EXPECT_LT(set.of(8)->time, set.of(7)->time);  // not monotone
}

TEST(oobleck_templates, memory_sets_the_smallest_template) {
  auto problem = equal_layers(6, 4);
  for (auto& layer : problem.layers) layer.parameters = 10, layer.activations = 15;
  problem.memory = 125;  // 6 x 60 + 15 = 375 = 3 x 125
  EXPECT_EQ(least_nodes(problem), 3);
  EXPECT_EQ(oobleck_templates{}(problem).plan.templates.front().nodes, 3);
  problem.memory = 124;
  EXPECT_EQ(least_nodes(problem), 4);
  problem.minimum = 6;
  EXPECT_EQ(least_nodes(problem), 6);
  problem.minimum = 1;
  problem.memory = 20;
  EXPECT_EQ(std::string(oobleck_templates{}(problem).reason),
            "memory: a pipeline needs at least 19 nodes, there are 4");
}

TEST(oobleck_templates, have_none_where_nothing_fits) {
  EXPECT_EQ(oobleck_templates{}(equal_layers(3, 5)).plan.templates.size(), 3);
  auto few = equal_layers(3, 5);
  few.minimum = 4;
  EXPECT_EQ(oobleck_templates{}(few).status, status::infeasible);
  EXPECT_EQ(std::string(oobleck_templates{}(few).reason),
            "layers: 3 are fewer than the stages of 4 nodes, the smallest template");
  EXPECT_EQ(std::string(oobleck_templates{}(equal_layers(8, 2, 6)).reason),
            "gpus: 6 of a node are no power of two, and stages take halves of halves");
  few.minimum = 6;
  EXPECT_EQ(std::string(oobleck_templates{}(few).reason),
            "minimum: a pipeline needs at least 6 nodes, there are 5");
  EXPECT_EQ(
      field_of([] { (void)oobleck_templates{.microbatches_per_node = 0}(equal_layers(2, 1)); }),
      "microbatches_per_node");
}

TEST(oobleck_templates, large_problems_have_an_answer) {
  auto const problem = equal_layers(128, 32, 8);
  auto const answer = oobleck_templates{}(problem);
  EXPECT_EQ(answer.plan.templates.size(), 32);
  EXPECT_EQ(lines(check(problem, answer.plan)), "");
  EXPECT_EQ(answer.plan.of(32)->time, 193.5);

  auto synchronised = equal_layers(48, 24, 4);
  for (auto& layer : synchronised.layers) layer.all_reduce = {0.05, 0.1};
  auto const templates = oobleck_templates{}(synchronised);
  EXPECT_EQ(templates.plan.templates.size(), 24);
  EXPECT_EQ(lines(check(synchronised, templates.plan)), "");
}

}  // namespace
}  // namespace shunt::tests::oobleck_templates_test
