#include "shunt/compose/orders.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <range/v3/range/conversion.hpp>

#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"

namespace {

using namespace shunt;

auto const one_f_one_b_by_hand = [](pipeline_job const& job, worker w) {
  std::int32_t const m = job.microbatches, warm_up = std::min(job.stages - w.stage.value() - 1, m);
  return concat(forwards(0, warm_up), alternate(forwards(warm_up, m), backwards(0, m - warm_up)), backwards(m - warm_up, m));
};
static_assert(solver_for<from_orders<decltype(one_f_one_b_by_hand)>, pipeline_job>);

TEST(Orders, OneForwardOneBackwardByHandIsTheGenerators) {
  for (std::int32_t stages = 1; stages <= 5; ++stages)
    for (std::int32_t microbatches = 1; microbatches <= 7; ++microbatches) {
      pipeline_job const job{.pipelines = 2, .stages = stages, .microbatches = microbatches};
      EXPECT_EQ(from_orders{one_f_one_b_by_hand}(job), one_f_one_b{}(job)) << stages << " stages, " << microbatches << " micro-batches";
    }
}

TEST(Orders, AScheduleByHandTakesTransforms) {
  pipeline_job const job{.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}};
  auto const staggered = from_orders{one_f_one_b_by_hand} | split_backward{} | stagger_step{};
  auto const answer = staggered(job);
  EXPECT_TRUE(answer.has_plan());
  EXPECT_TRUE(check(job, answer.plan).empty());
  EXPECT_LE(answer.objective, 30);
}

TEST(Orders, AlternateEndsWithItsShortestRange) {
  auto const turns = ranges::to<std::vector>(alternate(forwards(0, 3), backward_inputs(0, 2), backward_weights(0, 5)));
  std::vector<turn> const expected{{op_kind::forward, 0}, {op_kind::backward_input, 0}, {op_kind::backward_weight, 0},
                                   {op_kind::forward, 1}, {op_kind::backward_input, 1}, {op_kind::backward_weight, 1}};
  EXPECT_EQ(turns, expected);
}

TEST(Orders, ABrokenOrderIsInfeasibleAndSaysWhy) {
  pipeline_job const job{.stages = 2, .microbatches = 3};
  auto const forgetful = schedule_of(job, [](worker) { return concat(forwards(0, 3), backwards(0, 2)); });
  EXPECT_EQ(forgetful.status, status::infeasible);
  EXPECT_NE(forgetful.reason.find("missing"), std::string::npos) << forgetful.reason;
  auto const reversed = schedule_of(job, [](worker) { return concat(backwards(0, 3), forwards(0, 3)); });
  EXPECT_EQ(reversed.status, status::infeasible);
  EXPECT_NE(reversed.reason.find("before_its_input"), std::string::npos) << reversed.reason;
}

}  // namespace
