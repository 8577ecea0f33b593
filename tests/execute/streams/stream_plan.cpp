// The order of events: which waits are needed, and which are left out.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/streams/stream_plan.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"
#include "support/stream_runs.hpp"

namespace shunt::tests::streams_stream_plan_test {
namespace {

using namespace detail;
using namespace stream_runs;

std::vector<stream_command> commands_of(program const& p, stream_command::code c) {
  auto const d = find_dependencies(p);
  auto found = plan_streams(p, d, serial_order(p, d)).commands;
  std::erase_if(found, [&](auto const& x) { return x.todo != c; });
  return found;
}

TEST(stream_plan, waits_once_for_what_it_does_not_know) {
  using code = stream_command::code;
  program_builder b(1);
  for (int k = 0; k < 4; ++k) b.buffer(0, 8, true);
  auto const first = b.compute(0, {}, {}, {{0, 0, 8}});                                // lane 0
  auto const second = b.copy(0, {0, 0, 8}, {1, 0, 8}, {.lane = 1, .after = {first}});  // waits
  b.copy(0, {0, 0, 8}, {2, 0, 8}, {.lane = 1, .after = {first}});                      // knows
  b.copy(0, {1, 0, 8}, {3, 0, 8},
         {.lane = 2, .after = {first, second}});  // the second knows of the first
  b.compute(0, {.microbatch = 1}, {{3, 0, 8}}, {{3, 0, 8}},
            {.after = {second, 3}});  // the last copy knows of the second
  auto const& p = b.peek();
  ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
  // lanes 1 and 2 for the list's begin, the three waits above, and the join of lane 1 (its second
  // copy)
  EXPECT_EQ(commands_of(p, code::wait).size(), 2U + 3U + 1U);
  EXPECT_EQ(commands_of(p, code::record).size(), 1U + 3U + 1U);

  program_builder one(2);  // one lane, no other rank: no event at all
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    one.buffer(r, 8, true);
    one.compute(r, {}, {}, {{0, 0, 8}});
    one.fill(r, {0, 0, 8});
  }
  EXPECT_TRUE(commands_of(one.peek(), code::wait).empty());
  EXPECT_TRUE(commands_of(one.peek(), code::record).empty());
}

TEST(stream_plan, a_message_waits_for_its_place_unless_the_sender_knows_it_is_free) {
  using code = stream_command::code;
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous).size(), 1U);
  b.send(1, 0, {0, 0, 8});  // the answer says that the first has come, and the next program's
                            // message that the answer has
  b.receive(0, 1, {0, 0, 8});
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous).size(), 1U);
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous)[0].stream, 1);
  expect_same_bits(repeated(b.peek(), 5), "ping-pong", 9);
}

}  // namespace
}  // namespace shunt::tests::streams_stream_plan_test
