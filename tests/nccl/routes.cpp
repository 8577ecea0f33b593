#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/error.hpp"
#include "shunt/nccl/routes.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::routes_test {
namespace {

using namespace detail;
using namespace nccl_parties;

program two_ways(std::uint8_t receive_lane, std::int32_t batch, bool receives_first) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.buffer(r, 8);
    rank_id const other = 1 - r.value();
    if (receives_first && r == 1)
      b.receive(r, other, {1, 0, 8}, 0, {.lane = receive_lane, .batch = batch});
    b.send(r, other, {0, 0, 8}, 0, {.batch = batch});
    if (!receives_first || r == 0)
      b.receive(r, other, {1, 0, 8}, 0, {.lane = receive_lane, .batch = batch});
  }
  return std::move(b).finish();
}

TEST(routes, are_as_few_as_the_lanes_allow) {
  using kind = message_routes::kind;
  EXPECT_EQ(find_routes(two_ways(0, -1, true)), (message_routes{.apart = kind::all}));
  EXPECT_EQ(find_routes(two_ways(0, 0, false)),
            (message_routes{.apart = kind::all, .together = {0}}));
  EXPECT_EQ(find_routes(two_ways(1, -1, false)), (message_routes{.apart = kind::edge}));
  auto const circle = two_ways(0, -1, false);
  EXPECT_FALSE(check_rendezvous(circle).empty());
  EXPECT_EQ(find_routes(circle), (message_routes{.apart = kind::edge, .buffered = true}));
}

TEST(routes, of_channels_whose_messages_overtake_each_other_are_apart) {
  auto const crossing = [](std::int32_t batch) {
    program_builder b(2);
    for (rank_id const r : {rank_id{0}, rank_id{1}})
      for (int k = 0; k < 2; ++k) b.buffer(r, 8, true);
    for (std::int32_t k = 0; k < 2; ++k) {
      b.send(0, 1, {k, 0, 8}, k, {.batch = batch});
      b.receive(1, 0, {1 - k, 0, 8}, 1 - k);
    }
    return std::move(b).finish();
  };
  auto const p = crossing(-1);
  EXPECT_TRUE(check(p).empty());
  EXPECT_FALSE(check_without_tags(p).empty());
  auto const routes = find_routes(p);
  EXPECT_EQ(routes, (message_routes{.apart = message_routes::kind::channel, .buffered = true}));
  EXPECT_NO_THROW(require_message_order(p, routes));
  EXPECT_EQ(communicators_of(p, routes).size(), 2U);

  // a batch is one group in one communicator
  auto const refused = [](program const& q, message_routes const& by) -> std::string {
    try {
      require_message_order(q, by);
    } catch (invalid_program const& e) {
      return e.what();
    }
    return "";
  };
  auto const why =
      "rank 1, instruction 0: the message from rank 0 on channel 1 is received as number 0 and "
      "sent as number 1";
  EXPECT_EQ(refused(p, {.apart = message_routes::kind::edge}), why);
  EXPECT_EQ(refused(crossing(0), find_routes(crossing(0))), why);
}

}  // namespace
}  // namespace shunt::tests::routes_test
