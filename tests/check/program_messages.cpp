#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/check/program_messages.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "support/program_violations.hpp"

namespace shunt::tests::program_messages_test {
namespace {

using rule = program_rule;

TEST(program_messages, finds_messages_without_a_counterpart) {
  auto b = two_ranks();
  b.send(0, 1, {0, 0, 8});
  b.send(0, 1, {0, 0, 8}, 1);
  b.send(0, 1, {0, 0, 16});
  b.receive(1, 0, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  expect_only(
      b.peek(),
      {{.rule = rule::unmatched_message, .at = {0, 1}, .other = {1, program_violation::whole}},
       {.rule = rule::message_size, .at = {0, 2}, .other = {1, 1}, .found = 16, .expected = 8},
       {.rule = rule::unmatched_message, .at = {1, 2}, .other = {0, program_violation::whole}},
       {.rule = rule::deadlock, .at = {1, 2}}});
}

TEST(program_messages, finds_collectives_that_disagree) {
  auto b = two_ranks();
  auto const g = b.group({0, 1});
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, g, element::int32, reduction::sum, {0, 0, 8});
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, g, element::int64, reduction::max, {0, 0, 8});
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, g, element::int64, reduction::sum, {0, 0, 16});
  b.all_gather(0, g, {0, 0, 8}, {1, 0, 16});
  b.reduce_scatter(1, g, element::int64, reduction::sum, {0, 0, 16}, {1, 0, 8});
  b.all_gather(1, g, {0, 0, 8}, {1, 0, 16});
  std::vector<program_violation> expected;
  for (std::int32_t n = 0; n < 4; ++n)
    expected.push_back(
        {.rule = rule::collective_mismatch, .at = {1, n}, .other = {0, n}, .found = 0});
  expected.push_back({.rule = rule::missing_member,
                      .at = {1, 4},
                      .other = {0, program_violation::whole},
                      .found = 0});
  expected.push_back({.rule = rule::deadlock, .at = {1, 4}});
  expect_only(b.peek(), expected);
}

TEST(program_messages, finds_circles) {
  auto b = two_ranks();
  auto const g = b.group({0, 1});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.fill(r, {0, 0, 8});
  b.receive(0, 1, {0, 0, 8});
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, g, element::int64, reduction::sum, {0, 0, 8});
  b.send(1, 0, {0, 0, 8});
  expect_only(b.peek(),
              {{.rule = rule::deadlock, .at = {0, 1}}, {.rule = rule::deadlock, .at = {1, 1}}});

  program_builder c(3);  // two groups in opposite orders
  for (rank_id const r : ids<rank_id>(3)) c.buffer(r, 8, true);
  auto const a = c.group({0, 1}), d = c.group({1, 0});
  c.all_reduce(0, a, element::int64, reduction::sum, {0, 0, 8});
  c.all_reduce(0, d, element::int64, reduction::sum, {0, 0, 8});
  c.all_reduce(1, d, element::int64, reduction::sum, {0, 0, 8});
  c.all_reduce(1, a, element::int64, reduction::sum, {0, 0, 8});
  c.fill(2, {0, 0, 8});
  expect_only(c.peek(),
              {{.rule = rule::deadlock, .at = {0, 0}}, {.rule = rule::deadlock, .at = {1, 0}}});
}

TEST(program_messages, finds_messages_whose_order_is_open) {
  auto b = two_ranks();
  auto const g = b.group({0, 1});
  b.send(0, 1, {0, 0, 8});
  b.send(0, 1, {0, 0, 8}, 0, {.lane = 1});
  b.send(0, 1, {0, 0, 8}, 1, {.lane = 2});  // another channel
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 16, 8}, {.lane = 1});
  b.all_gather(0, g, {1, 0, 8}, {1, 16, 16}, {.lane = 2});
  b.receive(1, 0, {0, 0, 8}, 0, {.batch = 1});
  b.receive(1, 0, {0, 8, 8}, 0, {.batch = 1});  // a batch keeps the order of its list
  b.receive(1, 0, {0, 0, 8}, 1);
  b.all_reduce(1, g, element::int64, reduction::sum, {0, 16, 8});
  b.all_gather(1, g, {1, 0, 8}, {1, 16, 16});
  expect_only(b.peek(), {{.rule = rule::unordered_messages, .at = {0, 1}, .other = {0, 0}},
                         {.rule = rule::unordered_messages, .at = {0, 4}, .other = {0, 3}}});
}

}  // namespace
}  // namespace shunt::tests::program_messages_test
