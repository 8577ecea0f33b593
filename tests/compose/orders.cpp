#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <range/v3/range/conversion.hpp>

#include "shunt/compose/orders.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"

namespace shunt::tests::orders_test {
namespace {

auto const one_f_one_b_by_hand = [](pipeline_job const& job, worker w) {
  std::int32_t const m = job.microbatches[w.pipeline],
                     warm_up = std::min(job.stages - w.stage.value() - 1, m);
  return concat(forwards(0, warm_up), alternate(forwards(warm_up, m), backwards(0, m - warm_up)),
                backwards(m - warm_up, m));
};

TEST(orders, one_forward_one_backward_by_hand_is_the_generators) {
  for (std::int32_t stages = 1; stages <= 5; ++stages)
    for (std::int32_t microbatches = 1; microbatches <= 7; ++microbatches) {
      pipeline_job const job{.pipelines = 2, .stages = stages, .microbatches = microbatches};
      EXPECT_EQ(from_orders{one_f_one_b_by_hand}(job), one_f_one_b{}(job))
          << stages << " stages, " << microbatches << " micro-batches";
    }
}

TEST(orders, a_schedule_by_hand_takes_transforms) {
  pipeline_job const job{.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}};
  auto const staggered = from_orders{one_f_one_b_by_hand} | split_backward{} | stagger_step{};
  auto const answer = staggered(job);
  EXPECT_TRUE(answer.has_plan());
  EXPECT_TRUE(check(job, answer.plan).empty());
  EXPECT_LE(answer.objective, 30);
}

TEST(orders, alternate_ends_with_its_shortest_range) {
  auto const turns = ranges::to<std::vector>(
      alternate(forwards(0, 3), backward_inputs(0, 2), backward_weights(0, 5)));
  std::vector<turn> const expected{{op_kind::forward, 0},         {op_kind::backward_input, 0},
                                   {op_kind::backward_weight, 0}, {op_kind::forward, 1},
                                   {op_kind::backward_input, 1},  {op_kind::backward_weight, 1}};
  EXPECT_EQ(turns, expected);
}

TEST(orders, a_broken_order_is_infeasible_and_says_why) {
  pipeline_job const job{.stages = 2, .microbatches = 3};
  auto const forgetful =
      schedule_of(job, [](worker) { return concat(forwards(0, 3), backwards(0, 2)); });
  EXPECT_EQ(forgetful.status, status::infeasible);
  EXPECT_NE(forgetful.reason.find("missing"), std::string::npos) << forgetful.reason;
  auto const reversed =
      schedule_of(job, [](worker) { return concat(backwards(0, 3), forwards(0, 3)); });
  EXPECT_EQ(reversed.status, status::infeasible);
  EXPECT_NE(reversed.reason.find("before_its_input"), std::string::npos) << reversed.reason;
}

TEST(orders, several_stages_a_rank) {
  // Depth first on two ranks of two chunks: each micro-batch runs through all before the next one
  // starts.
  auto const depth_first =
      from_orders{[](pipeline_job const& job, std::vector<worker> const& workers) {
        return concat(
            each_of(workers, [&job](worker w) { return at(w, forwards(0, job.microbatches[0])); }),
            alternate(at(workers[1], backward_inputs(0, job.microbatches[0])),
                      at(workers[1], backward_weights(0, job.microbatches[0]))),
            at(workers[0], backwards(0, job.microbatches[0])));
      }};
  static_assert(solver_for<decltype(depth_first), pipeline_job>);
  for (auto const& layout :
       {stage_layout::looped(2), stage_layout::v_shaped(), stage_layout::custom({0, 1, 0, 1})}) {
    pipeline_job const job{.stages = 4, .microbatches = 3, .layout = layout};
    auto const answer = depth_first(job);
    ASSERT_TRUE(answer.has_plan()) << answer.reason;
    EXPECT_TRUE(check(job, answer.plan).empty());
    EXPECT_EQ(answer.plan.order[0].size(),
              2u * 3u + 2u * 3u + 3u +
                  2u);  // forwards, the split chunk, the fused one, a step a stage
    EXPECT_EQ(answer.plan.order[0][7],
              (operation{op_kind::backward_weight, 0,
                         layout.form() == stage_layout::shape::wave ? 3 : 2, 0}));
  }
  EXPECT_THROW(static_cast<void>(from_orders{one_f_one_b_by_hand}(
                   {.stages = 4, .layout = stage_layout::looped(2)})),
               invalid_problem);
}

TEST(orders, both_directions_of_shared_ranks) {
  auto const by_turns =
      from_orders{[](pipeline_job const& job, std::vector<worker> const& workers) {
        auto const m = job.microbatches[0];
        return concat(alternate(at(workers[0], forwards(0, m)), at(workers[1], forwards(0, m))),
                      alternate(at(workers[0], backwards(0, m)), at(workers[1], backwards(0, m))));
      }};
  pipeline_job const job{
      .pipelines = 2, .stages = 4, .microbatches = 3, .layout = stage_layout::bidirectional()};
  auto const answer = by_turns(job);
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_TRUE(check(job, answer.plan).empty());
}

}  // namespace
}  // namespace shunt::tests::orders_test
