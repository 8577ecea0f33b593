#include "shunt/measure/loss_bounds.hpp"

#include <gtest/gtest.h>

#include "support/losses.hpp"

namespace shunt::tests::loss_bounds_test {
namespace {

TEST(loss_bounds, work_is_shared_in_whole_micro_batches_of_a_layer) {
  // 2 x 2 ranks, 4 layers, 6 micro-batches: 24 cells of 3 ticks over 3 live ranks, and over 4.
  EXPECT_EQ(period_bound(without(losses_of(2, 2, 2, 3), {3})), 24);
  EXPECT_EQ(period_bound(losses_of(2, 2, 2, 3)), 18);
  auto losses = without(losses_of(2, 2, 2, 3), {3});
  losses.spares = 2;  // 24 cells over 5 ranks: one has five
  EXPECT_EQ(period_bound(losses), 15);
  losses.job.costs.step = 5;  // the same, and then a step at least
  EXPECT_EQ(period_bound(losses), 20);
  losses.job.costs.step = {0, 9, 9, 9};  // 72 and 27 ticks over 5 ranks
  EXPECT_EQ(period_bound(losses), 20);
}

TEST(loss_bounds, a_micro_batch_goes_there_and_back) {
  auto losses = losses_of(2, 4, 2, 1);  // 2 x 8 cells of 3 ticks over 8 ranks: 6
  EXPECT_EQ(period_bound(losses), 17);
  losses.job.costs.step = 4;
  EXPECT_EQ(period_bound(losses), 21);
  losses.job.transfer = 10;
  EXPECT_EQ(period_bound(losses), 21);  // one rank may hold all
  losses.state_limit = 3;               // three ranks at least: two links there, two back
  EXPECT_EQ(period_bound(losses), 61);
}

TEST(loss_bounds, ranks_share_in_proportion_to_speed) {
  worker_losses losses{.job = {.pipelines = 2, .stages = 1, .microbatches = 2}};
  losses.job.costs.forward = {1, 5};   // one value a worker: 3 and 7 ticks a micro-batch
  EXPECT_EQ(period_bound(losses), 9);  // three there, one here
  losses.job.lengths = {1, 2, 3, 6};   // 12 units: nine there, three here
  EXPECT_EQ(period_bound(losses), 27);
  losses.job.costs.step = 4;
  EXPECT_EQ(period_bound(losses), 31);
  losses.spares = 1;  // as fast as the fastest: five, five and two; the longest is six
  EXPECT_EQ(period_bound(losses), 22);
  losses.job.lengths = {3, 3, 3, 3};  // in threes
  EXPECT_EQ(period_bound(losses), 22);
}

TEST(loss_bounds, a_slow_rank_counts_in_its_own_units) {
  // 3 x 4 ranks of one layer, 18 micro-batches: 72 cells of 3 ticks; six for the slow rank
  auto losses = losses_of(3, 4, 1, 6);
  losses.job.costs = by_factors(losses.job, {1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1});
  EXPECT_EQ(period_bound(losses), 21);  // 7 on each of 11, and 3
  losses.normal = stage_costs{};        // the same said
  EXPECT_EQ(period_bound(losses), 21);
  losses.normal = stage_costs{.forward = 2, .backward_input = 2, .backward_weight = 2};
  EXPECT_EQ(period_bound(losses), 21);  // what ranks do now is as fast
}

}  // namespace
}  // namespace shunt::tests::loss_bounds_test
