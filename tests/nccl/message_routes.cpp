#include "shunt/nccl/message_routes.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::message_routes_test {
namespace {

using kind = message_routes::kind;
using use = communicator_key::use;

TEST(message_routes, channels_of_batches_run_in_the_communicator_of_all) {
  message_routes const routes{.apart = kind::edge, .together = {2, 5}};
  EXPECT_EQ(routes.of(2), kind::all);
  EXPECT_EQ(routes.of(3), kind::edge);
  EXPECT_EQ(routes.key(1, 0, 5), communicator_key{});
}

TEST(message_routes, a_pair_has_one_key_and_an_edge_one_in_each_direction) {
  message_routes const pairs{.apart = kind::pair}, edges{.apart = kind::edge};
  EXPECT_EQ(pairs.key(3, 1, 0), (communicator_key{use::pair, {1, 3}}));
  EXPECT_EQ(pairs.key(3, 1, 0), pairs.key(1, 3, 0));
  EXPECT_EQ(edges.key(3, 1, 0), (communicator_key{use::edge, {3, 1}}));
  EXPECT_NE(edges.key(3, 1, 0), edges.key(1, 3, 0));
  EXPECT_TRUE(edges.key(3, 1, 0).contains(1));
  EXPECT_FALSE(edges.key(3, 1, 0).contains(2));
  message_routes const channels{.apart = kind::channel};
  EXPECT_EQ(channels.key(3, 1, 7), (communicator_key{use::channel, {3, 1}, 7}));
  EXPECT_NE(channels.key(3, 1, 7), channels.key(3, 1, 8));
}

}  // namespace
}  // namespace shunt::tests::message_routes_test
