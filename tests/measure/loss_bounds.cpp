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
  losses.job.costs.step = 5;  // 72 and 20 ticks over 5 ranks
  EXPECT_EQ(period_bound(losses), 19);
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

TEST(loss_bounds, the_fastest_ranks_and_the_sum_of_lengths_count) {
  worker_losses losses{.job = {.pipelines = 2, .stages = 1, .microbatches = 2}};
  losses.job.costs.forward = {1, 5};  // one value a worker
  EXPECT_EQ(period_bound(losses), 6);
  losses.job.lengths = {1, 2, 3, 6};
  EXPECT_EQ(period_bound(losses), 18);
}

}  // namespace
}  // namespace shunt::tests::loss_bounds_test
