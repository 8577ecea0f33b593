#include "shunt/problem/worker_losses.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/losses.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::worker_losses_test {
namespace {

TEST(worker_losses, name_field_place_and_value_of_what_can_not_be) {
  std::string text;
  auto const field = [&](auto const& change) {
    auto losses = losses_of(2, 2, 2, 3);
    change(losses);
    return field_of([&] { validate(losses); }, &text);
  };
  EXPECT_EQ(field([](worker_losses&) {}), "nothing thrown");
  EXPECT_EQ(field([](worker_losses& l) { l.job.dead = {{3, 0}}; }), "dead[0]");
  EXPECT_EQ(field([](worker_losses& l) { l.spares = -1; }), "spares");
  EXPECT_EQ(field([](worker_losses& l) { l.state = {1, 2, 3}; }), "state");
  EXPECT_EQ(text, "state: has 3 values for 4 stages");
  EXPECT_EQ(field([](worker_losses& l) { l.state = {1, 2, -3, 4}; }), "state[2]");
  EXPECT_EQ(text, "state[2]: must be at least 0, is -3");
  EXPECT_EQ(field([](worker_losses& l) { l.state = ticks{1} << 51; }), "state");
  EXPECT_EQ(field([](worker_losses& l) { l.state_limit = -1; }), "state_limit");
  EXPECT_EQ(field([](worker_losses& l) { l.until_next = -4; }), "until_next");
  EXPECT_EQ(text, "until_next: must be at least 0, is -4");
  EXPECT_EQ(field([](worker_losses& l) { l.change.every = -1; }), "change.every");
  EXPECT_EQ(field([](worker_losses& l) { l.change.moving = -1; }), "change.moving");
  EXPECT_EQ(field([](worker_losses& l) { l.change.within_node = -.5; }), "change.within_node");
  EXPECT_EQ(field([](worker_losses& l) {
              l.change.between_nodes = std::numeric_limits<double>::quiet_NaN();
            }),
            "change.between_nodes");
  // Links of another number of ranks, and links without those of the spares.
  EXPECT_EQ(field([](worker_losses& l) { l.job.transfer = {3, std::vector<ticks>(9, 1)}; }),
            "transfer");
  EXPECT_EQ(text, "transfer: has 9 values for 4 x 4 ranks");
  EXPECT_EQ(field([](worker_losses& l) {
              l.job.transfer = {4, std::vector<ticks>(16, 1)};
              l.spares = 2;
            }),
            "transfer");
  EXPECT_EQ(text, "transfer: is a matrix of 4 ranks, without the 2 spares");
}

TEST(worker_losses, a_rank_takes_its_pace_to_stages_that_it_has_not) {
  auto losses = losses_of(2, 2, 2, 3);  // ranks 0 and 2 have stages 0 and 1, the others 2 and 3
  losses.job.costs = {.forward = {2, 3, 4, 5}, .step = {1, 2, 3, 4, 1, 2, 3, 4}};
  losses.job.costs = by_factors(losses.job, {1, 1, 3, 1});
  losses.job.costs.backward_input = 7;
  losses.spares = 1;
  rank_costs const costs(losses);
  EXPECT_TRUE(costs.by_rank());
  for (stage_id const s : ids<stage_id>(4)) {
    auto const& fast = costs.on(0, s);
    EXPECT_EQ(fast.forward, 2 + s.value());
    EXPECT_EQ(fast.backward_input, 7);  // by stage
    EXPECT_EQ(costs.on(2, s),
              (rank_ticks{3 * fast.forward, 7, 3 * fast.backward_weight, fast.step}));
    EXPECT_EQ(costs.on(4, s), fast);  // the spare
    EXPECT_EQ(costs.normal(s), fast);
  }
  EXPECT_FALSE(rank_costs(losses_of(2, 2, 2, 3)).by_rank());

  losses.job.costs.forward = per_stage{2, 3, 4, 5, 3, 4, 4, 5};  // 7/5 of the fastest: 5.6, 7
  EXPECT_EQ(rank_costs(losses).on(2, 0).forward, 3);
  EXPECT_EQ(rank_costs(losses).on(2, 2).forward, 6);
  EXPECT_EQ(rank_costs(losses).on(2, 3).forward, 7);

  // A slow rank that has a stage alone is found by what is normal.
  losses.normal = stage_costs{.forward = 1};
  EXPECT_EQ(rank_costs(losses).on(0, 0).forward, 2);
  EXPECT_EQ(rank_costs(losses).on(0, 3).forward, 3);  // 5/2, halves up
  EXPECT_EQ(rank_costs(losses).on(4, 3).forward, 1);
}

TEST(worker_losses, normal_costs_are_those_of_stages) {
  std::string text;
  auto losses = losses_of(2, 2, 2, 3);
  losses.normal = stage_costs{.forward = {1, 1, 0, 1}};
  EXPECT_EQ(field_of([&] { validate(losses); }, &text), "normal.forward");
  EXPECT_EQ(text, "normal.forward: must be at least 1, is 0");
  losses.normal = stage_costs{.step = {1, 2}};
  EXPECT_EQ(field_of([&] { validate(losses); }, &text), "normal.step");
  EXPECT_EQ(text, "normal.step: has 2 values for 4 stages");
  // Slow ranks at heavy stages.
  losses.normal.reset();
  losses.job.costs.forward = {1, 1, ticks{1} << 40, 1};
  validate(losses);
  losses.job.costs.backward_weight = {0, 0, 1, 1, ticks{1} << 30, 1, 1, 1};
  losses.normal = stage_costs{.forward = losses.job.costs.forward,
                              .backward_weight = {1, 1, 1, ticks{1} << 40}};
  EXPECT_EQ(field_of([&] { validate(losses); }, &text), "costs");
}

}  // namespace
}  // namespace shunt::tests::worker_losses_test
