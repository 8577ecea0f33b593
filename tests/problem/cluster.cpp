#include <gtest/gtest.h>

#include "shunt/problem/cluster.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::cluster_test {
namespace {

using link_type = decltype(cluster::within_node);

TEST(cluster, a_link_is_occupied_for_whole_ticks) {
  EXPECT_EQ((link_type{.latency = 3, .bytes_per_tick = 8}.occupancy(17)), 3);
  EXPECT_EQ((link_type{.bytes_per_tick = 8}.occupancy(16)), 2);
  EXPECT_EQ(link_type{}.occupancy(1'000'000), 0);
}

TEST(cluster, ranks_are_dealt_node_by_node) {
  cluster const c{.ranks = 5,
                  .ranks_per_node = 2,
                  .within_node = {.latency = 1},
                  .between_nodes = {.latency = 9}};
  EXPECT_EQ(c.node_of(3), 1);
  EXPECT_EQ(c.node_of(4), 2);
  EXPECT_EQ(c.between(2, 3).latency, 1);
  EXPECT_EQ(c.between(1, 2).latency, 9);
}

TEST(cluster, what_is_wrong_is_named) {
  auto const field = [](cluster const& c) { return field_of([&] { validate(c); }); };
  EXPECT_EQ(field({}), "nothing thrown");
  EXPECT_EQ(field({.ranks = 0}), "ranks");
  EXPECT_EQ(field({.ranks_per_node = 0}), "ranks_per_node");
  EXPECT_EQ(field({.within_node = {.latency = -1}}), "within_node.latency");
  EXPECT_EQ(field({.between_nodes = {.bytes_per_tick = 0}}), "between_nodes.bytes_per_tick");
}

}  // namespace
}  // namespace shunt::tests::cluster_test
