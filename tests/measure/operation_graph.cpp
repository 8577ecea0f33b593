#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "shunt/measure/operation_graph.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"

namespace shunt::tests::operation_graph_test {
namespace {

TEST(operation_graph, costs_of_operations_and_pairs) {
  pipeline_job const job{
      .costs = {
          .forward = 5, .backward_input = 3, .backward_weight = 2, .step = 7, .overlap_gain = 4}};
  operation const f{op_kind::forward, 0, 0, 0}, b{op_kind::backward, 0, 0, 1},
      i{op_kind::backward_input, 0, 0, 1};
  EXPECT_EQ(cost_of(job, f), 5);
  EXPECT_EQ(cost_of(job, b), 5);
  EXPECT_EQ(cost_of(job, {op_kind::backward_weight, 0, 0, 1}), 2);
  EXPECT_EQ(cost_of(job, {.kind = op_kind::step}), 7);
  EXPECT_EQ(cost_of(job, f, b), 6);
  EXPECT_EQ(cost_of(job, f, i), 5);  // never more gained than the shorter takes
}

TEST(operation_graph, every_node_stands_behind_those_it_needs) {
  pipeline_job const job{.stages = 3, .microbatches = 4, .transfer = 2};
  auto const graph = graph_of(job, one_f_one_b{}(job).plan);
  EXPECT_TRUE(graph.executable());
  EXPECT_EQ(graph.nodes.size(), 3u * (2 * 4 + 1));
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    auto const& node = graph.nodes[n];
    EXPECT_LT(node.before, static_cast<std::int32_t>(n));
    EXPECT_LT(node.producer, static_cast<std::int32_t>(n));
    if (node.producer >= 0) {
      EXPECT_EQ(node.delay, 2);
    }
  }
}

TEST(operation_graph, ranks_that_wait_for_each_other_are_not_reached) {
  pipeline_job const job{.stages = 2, .microbatches = 2};
  auto plan = one_f_one_b{}(job).plan;
  std::swap(plan.order[0][1], plan.order[0][2]);  // B0 before F1 on rank 0 ...
  std::swap(plan.order[1][1], plan.order[1][2]);  // ... and F1 before B0 on rank 1
  auto const graph = graph_of(job, plan);
  EXPECT_FALSE(graph.executable());
  EXPECT_EQ(graph.reached, 2u);  // both forwards of micro-batch 0
}

}  // namespace
}  // namespace shunt::tests::operation_graph_test
