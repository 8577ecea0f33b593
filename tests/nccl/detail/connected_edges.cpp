#include "shunt/nccl/detail/connected_edges.hpp"

#include <gtest/gtest.h>

#include <set>

#include "shunt/program/builder.hpp"

namespace shunt::tests::connected_edges_test {
namespace {

using namespace detail;

TEST(connected_edges, are_missing_until_they_are_inserted) {
  program_builder b(3);
  b.send(0, 1, {0, 0, 8}, 4);
  b.send(0, 1, {0, 0, 8}, 5);
  b.receive(0, 2, {0, 0, 8});
  message_routes const routes{.apart = message_routes::kind::pair};
  communicator_key const low{communicator_key::use::pair, {0, 1}},
      high{communicator_key::use::pair, {0, 2}};
  connected_edges known;
  auto const fresh = known.missing(b.peek(), routes, 0);
  EXPECT_EQ(fresh, (std::set<connected_edges::edge>{{low, 0, 1}, {high, 2, 0}}));
  EXPECT_TRUE(known.missing(b.peek(), routes, 1).empty());  // its list is empty
  known.insert(fresh);
  EXPECT_TRUE(known.missing(b.peek(), routes, 0).empty());
  known.clear();
  EXPECT_EQ(known.missing(b.peek(), routes, 0).size(), 2U);
}

}  // namespace
}  // namespace shunt::tests::connected_edges_test
