#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/problem/cluster.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::cost_model_test {
namespace {

TEST(cost_model, take_their_times_from_the_problem) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 1};
  job.costs = {.forward = {3, 5}, .backward_input = 4, .backward_weight = {1, 2}, .step = 7};
  job.transfer = 6;
  job_costs const costs(job);
  EXPECT_EQ(costs.compute(3, {.kind = op_kind::forward, .stage = 1}), 5);
  EXPECT_EQ(costs.compute(3, {.kind = op_kind::backward, .stage = 1}), 6);
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::backward_input}), 4);
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::backward_weight}), 1);
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::step}), 7);
  EXPECT_EQ(costs.transfer(0, 1, 1 << 20), (transfer_time{0, 6}));

  cluster const net{
      .ranks = 4, .ranks_per_node = 2, .within_node = {1, 100}, .between_nodes = {5, 10}};
  link_costs const links(net, [](rank_id, operation const&) { return ticks{2}; });
  static_assert(collective_cost_model<decltype(links)>);
  EXPECT_EQ(links.compute(0, {}), 2);
  EXPECT_EQ(links.transfer(0, 1, 101), (transfer_time{2, 1}));
  EXPECT_EQ(links.transfer(0, 2, 101), (transfer_time{11, 5}));
  std::vector<rank_id> const near{0, 1}, far{0, 1, 3};
  EXPECT_EQ(links.collective(opcode::all_gather, near, 100), 1 + 1);
  EXPECT_EQ(links.collective(opcode::all_reduce, near, 100), 2 * (1 + 1));
  EXPECT_EQ(links.collective(opcode::reduce_scatter, far, 300),
            10 + 10 + 5);  // rank 3 sends two parts of 100 between nodes
  EXPECT_THROW(link_costs(cluster{.ranks = 0}, [](rank_id, operation const&) { return ticks{0}; }),
               invalid_problem);
}

TEST(cost_model, measured_costs_are_medians) {
  timeline seen;
  auto const add = [&](opcode code, op_kind kind, stage_id s, ticks takes) {
    seen.events.push_back(
        {.code = code, .op = {.kind = kind, .stage = s}, .start = 100, .end = 100 + takes});
  };
  for (ticks const t : {9, 2, 4, 3, 1000}) add(opcode::compute, op_kind::forward, 1, t);
  for (ticks const t : {8, 6}) add(opcode::compute, op_kind::backward, 1, t);
  add(opcode::send, op_kind::forward, 0, 50);
  measured_costs const costs(seen, {.latency = 2, .bytes_per_tick = 4});
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::forward, .stage = 1}), 4);
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::backward, .stage = 1}), 6);
  EXPECT_EQ(costs.compute(0, {.kind = op_kind::forward}), 0);
  EXPECT_EQ(costs.transfer(0, 1, 9), (transfer_time{3, 2}));
}

TEST(cost_model, no_work_is_enough_for_times_and_for_programs_without_buffers) {
  program_builder with_buffer(1), without(1);
  with_buffer.buffer(0, 8, true);
  with_buffer.compute(0, {.microbatch = 2}, {}, {{0, 0, 8}});
  without.compute(0, {.microbatch = 2}, {}, {});
  no_work none;
  simulated_executor const clock{.cost = uneven_costs{}};
  EXPECT_EQ(clock.run(with_buffer.peek(), none), clock.run(with_buffer.peek()));
  EXPECT_EQ(inline_executor{}.run(without.peek(), none).done[0], (progress{1, 0}));
  EXPECT_THROW((void)inline_executor{}.run(with_buffer.peek(), none), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::cost_model_test
