#include "shunt/nccl/detail/unbuffered_run.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "shunt/program/builder.hpp"

namespace shunt::tests::unbuffered_run_test {
namespace {

using namespace detail;
using kind = message_routes::kind;

/// Two ranks that send to each other on one lane and receive on another.
program two_lanes(std::int32_t batch) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.send(r, 1 - r.value(), {0, 0, 8}, 0, {.lane = 1, .batch = batch});
    b.receive(r, 1 - r.value(), {1, 0, 8}, 0,
              {.lane = static_cast<std::uint8_t>(batch < 0 ? 2 : 1), .batch = batch});
  }
  return std::move(b).finish();
}

TEST(unbuffered_run, lanes_need_communicators_of_their_own) {
  auto const p = two_lanes(-1);
  message_routes const together{.apart = kind::pair}, apart{.apart = kind::edge};
  EXPECT_FALSE(unbuffered_run(p, together).ends());
  EXPECT_TRUE(unbuffered_run(p, apart).ends());
}

TEST(unbuffered_run, a_batch_needs_only_one) {
  auto const p = two_lanes(0);
  message_routes const together{.apart = kind::all};
  EXPECT_TRUE(unbuffered_run(p, together).ends());
}

}  // namespace
}  // namespace shunt::tests::unbuffered_run_test
