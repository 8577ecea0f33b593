#include "shunt/check/program_transport.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/program/builder.hpp"

namespace shunt::tests::program_transport_test {
namespace {

using rule = program_rule;

/// Two ranks that both send before they receive.
program crossed(std::int32_t batch) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.buffer(r, 8);
    b.send(r, 1 - r.value(), {0, 0, 8}, 0, {.batch = batch});
    b.receive(r, 1 - r.value(), {1, 0, 8}, 0, {.batch = batch});
  }
  return std::move(b).finish();
}

TEST(program_transport, sends_that_wait_for_each_other_need_buffers_or_a_batch) {
  EXPECT_EQ(check_rendezvous(crossed(-1)),
            (program_violations{{.rule = rule::rendezvous, .at = {0, 0}},
                                {.rule = rule::rendezvous, .at = {1, 0}}}));
  EXPECT_EQ(check_rendezvous(crossed(0)), program_violations{});
}

TEST(program_transport, members_of_a_collective_wait_for_each_other) {
  program_builder b(2);
  auto const both = b.group({0, 1});
  b.send(0, 1, {0, 0, 8});
  b.all_reduce(0, both, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, both, element::int64, reduction::sum, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  EXPECT_EQ(check_rendezvous(b.peek()),
            (program_violations{{.rule = rule::rendezvous, .at = {0, 0}},
                                {.rule = rule::rendezvous, .at = {1, 0}}}));
}

TEST(program_transport, without_tags_no_message_may_overtake_another) {
  program_builder b(2);
  b.send(0, 1, {0, 0, 8}, 0);
  b.send(0, 1, {0, 0, 8}, 1);
  b.receive(1, 0, {0, 0, 8}, 1);
  b.receive(1, 0, {0, 0, 8}, 0);
  EXPECT_EQ(
      check_without_tags(b.peek()),
      (program_violations{
          {.rule = rule::overtaken, .at = {0, 0}, .other = {1, 1}, .found = 0, .expected = 1},
          {.rule = rule::overtaken, .at = {0, 1}, .other = {1, 0}, .found = 1, .expected = 0}}));
}

TEST(program_transport, without_tags_the_order_of_messages_must_be_sure) {
  program_builder b(2);
  b.send(0, 1, {0, 0, 8}, 0);
  b.send(0, 1, {0, 0, 8}, 1, {.lane = 1});
  b.receive(1, 0, {0, 0, 8}, 0);
  b.receive(1, 0, {0, 0, 8}, 1);
  EXPECT_EQ(
      check_without_tags(b.peek()),
      (program_violations{{.rule = rule::unordered_messages, .at = {0, 1}, .other = {0, 0}}}));
}

}  // namespace
}  // namespace shunt::tests::program_transport_test
