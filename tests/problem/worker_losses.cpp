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

}  // namespace
}  // namespace shunt::tests::worker_losses_test
