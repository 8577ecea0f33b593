#include <gtest/gtest.h>

#include "shunt/check/program_memory.hpp"
#include "shunt/check/program_violation.hpp"
#include "support/program_violations.hpp"

namespace shunt::tests::program_memory_test {
namespace {

using rule = program_rule;

TEST(program_memory, finds_reads_of_what_nobody_wrote) {
  auto b = two_ranks();
  b.fill(0, {2, 8, 8});
  b.fill(0, {2, 32, 16});
  b.compute(0, {}, {{2, 0, 64}, {2, 8, 8}}, {{2, 0, 64}});
  b.send(0, 1, {2, 0, 64});
  b.receive(1, 0, {2, 0, 64});
  b.compute(1, {}, {{2, 1, 62}, {0, 0, 64}}, {});
  expect_only(b.peek(), {{.rule = rule::unwritten, .at = {0, 2}, .where = {2, 0, 8}},
                         {.rule = rule::unwritten, .at = {0, 2}, .where = {2, 16, 16}},
                         {.rule = rule::unwritten, .at = {0, 2}, .where = {2, 48, 16}}});
}

TEST(program_memory, finds_races_between_lanes_and_within_batches) {
  auto b = two_ranks();
  auto const first = b.fill(0, {2, 0, 32});
  b.compute(0, {}, {{2, 16, 4}}, {}, {.lane = 1});  // 1: not after 0
  auto const third = b.compute(0, {}, {{2, 0, 4}}, {}, {.lane = 2, .after = {first}});
  b.fill(0, {2, 0, 64}, {.after = {third}});  // 3: after 2, not after 1
  b.fill(0, {0, 0, 4}, {.lane = 1});
  b.compute(0, {}, {{0, 4, 4}}, {}, {.lane = 2});  // other bytes
  b.compute(0, {}, {{1, 0, 64}}, {}, {.lane = 1});
  b.compute(0, {}, {{1, 0, 64}}, {}, {.lane = 2});  // both read
  expect_only(b.peek(), {{.rule = rule::race, .at = {0, 1}, .other = {0, 0}, .where = {2, 16, 4}},
                         {.rule = rule::race, .at = {0, 3}, .other = {0, 1}, .where = {2, 0, 64}}});

  auto c = two_ranks();
  c.send(0, 1, {0, 0, 8}, 0, {.batch = 0});
  c.receive(0, 1, {0, 4, 8}, 0, {.batch = 0});
  c.fill(0, {0, 0, 64});
  c.send(1, 0, {0, 0, 8}, 0, {.batch = 3});
  c.receive(1, 0, {1, 4, 8}, 0, {.batch = 3});
  c.send(1, 0, {1, 4, 8});
  c.receive(0, 1, {1, 4, 8});
  expect_only(c.peek(), {{.rule = rule::race, .at = {0, 1}, .other = {0, 0}, .where = {0, 4, 8}}});
}

}  // namespace
}  // namespace shunt::tests::program_memory_test
