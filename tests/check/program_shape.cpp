#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/check/program_shape.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "support/program_violations.hpp"

namespace shunt::tests::program_shape_test {
namespace {

using rule = program_rule;

TEST(program_shape, finds_regions_and_tables_out_of_range) {
  auto b = two_ranks();
  b.fill(0, {0, 60, 5});
  b.fill(0, {7, 0, 1});
  b.fill(1, {0, -1, 4});
  b.fill(1, {0, 8, -4});
  b.fill(1, {0, std::int64_t{1} << 62, std::int64_t{1} << 62});
  expect_only(b.peek(), {{.rule = rule::region, .at = {0, 0}, .where = {0, 60, 5}},
                         {.rule = rule::region, .at = {0, 1}, .where = {7, 0, 1}},
                         {.rule = rule::region, .at = {1, 0}, .where = {0, -1, 4}},
                         {.rule = rule::region, .at = {1, 1}, .where = {0, 8, -4}},
                         {.rule = rule::region,
                          .at = {1, 2},
                          .where = {0, std::int64_t{1} << 62, std::int64_t{1} << 62}}});
  auto p = two_ranks().finish();
  p.ranks[1].buffers[2].size = -3;
  p.ranks[0].instructions.resize(3);
  p.ranks[0].instructions[0].reads = {0, 1};
  p.ranks[0].instructions[1].writes = {-1, 1};
  p.ranks[0].instructions[2].after = {0, 1};
  expect_only(p, {{.rule = rule::table, .at = {0, 0}},
                  {.rule = rule::table, .at = {0, 1}},
                  {.rule = rule::table, .at = {0, 2}},
                  {.rule = rule::table, .at = {1, program_violation::whole}, .where = {2, 0, -3}}});
  auto q = two_ranks().finish();
  q.groups = {{}, {0, 1}, {0, 2}, {1, 1}, {-1}};
  program_point const nowhere{0, program_violation::whole};
  expect_only(q, {{.rule = rule::group, .at = nowhere, .found = 0},
                  {.rule = rule::group, .at = nowhere, .found = 2},
                  {.rule = rule::group, .at = nowhere, .found = 3},
                  {.rule = rule::group, .at = nowhere, .found = 4}});
}

TEST(program_shape, finds_peers_channels_and_groups_that_cannot_be) {
  auto b = two_ranks();
  b.send(0, 0, {0, 0, 8});
  b.receive(0, 2, {0, 0, 8});
  b.send(1, -1, {0, 0, 8}, -2);
  auto const g = b.group({1});
  b.all_reduce(0, g, element::int64, reduction::sum, {0, 0, 8});
  b.all_reduce(1, 4, element::int64, reduction::sum, {0, 0, 8});
  expect_only(b.peek(), {{.rule = rule::peer, .at = {0, 0}, .found = 0},
                         {.rule = rule::peer, .at = {0, 1}, .found = 2},
                         {.rule = rule::membership, .at = {0, 2}, .found = 0},
                         {.rule = rule::peer, .at = {1, 0}, .found = -1},
                         {.rule = rule::channel, .at = {1, 0}, .found = -2},
                         {.rule = rule::membership, .at = {1, 1}, .found = 4}});
}

TEST(program_shape, finds_regions_that_do_not_fit_the_opcode) {
  auto b = two_ranks();
  b.copy(0, {0, 0, 8}, {1, 0, 12});
  b.copy(0, {0, 0, 8}, {0, 4, 8});
  b.add(0, element::int64, {0, 0, 16}, {1, 8, 8});
  b.add(0, element::int64, {0, 4, 8}, {1, 0, 8});
  b.add(0, element::int32, {0, 0, 6}, {1, 0, 6});
  b.add(0, element::float32, {0, 0, 8}, {0, 0, 8});
  expect_only(b.peek(),
              {{.rule = rule::size, .at = {0, 0}, .where = {0, 0, 8}, .found = 8, .expected = 12},
               {.rule = rule::overlap, .at = {0, 1}, .where = {0, 4, 8}},
               {.rule = rule::size, .at = {0, 2}, .where = {0, 0, 16}, .found = 16, .expected = 8},
               {.rule = rule::alignment, .at = {0, 3}, .where = {0, 4, 8}, .expected = 8},
               {.rule = rule::alignment, .at = {0, 4}, .where = {0, 0, 6}, .expected = 4},
               {.rule = rule::alignment, .at = {0, 4}, .where = {1, 0, 6}, .expected = 4},
               {.rule = rule::overlap, .at = {0, 5}, .where = {0, 0, 8}}});
  auto p = b.peek();
  p.ranks[0].instructions.resize(1);
  p.ranks[0].instructions[0].reads.count = 2;
  expect_only(p, {{.rule = rule::shape, .at = {0, 0}, .found = 2, .expected = 1}});
  p.ranks[0].instructions[0].reads.count = 0;
  p.ranks[0].instructions[0].code = opcode::receive;
  p.ranks[0].instructions[0].peer = 1;
  p.ranks[0].instructions[0].writes.count = 0;
  expect_only(p, {{.rule = rule::shape, .at = {0, 0}, .found = 0, .expected = 1}});
}

TEST(program_shape, finds_parts_that_do_not_fit_the_group) {
  auto b = two_ranks();
  auto const both = b.group({1, 0});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.reduce_scatter(r, both, element::int64, reduction::sum, {0, 0, 24}, {1, 0, 8});
    b.all_gather(r, both, {0, 0, 8}, {1, 0, 24});
    b.exchange(r, both, {0, 0, 15}, {0, 16, 16}, {1, 0, 15}, {1, 16, 8});
    b.exchange(r, both, {0, 0, 16}, {0, 20, 16}, {1, 0, 16}, {0, 32, 16});
  }
  std::vector<program_violation> expected;
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    expected.push_back(
        {.rule = rule::size, .at = {r, 0}, .where = {0, 0, 24}, .found = 24, .expected = 16});
    expected.push_back(
        {.rule = rule::size, .at = {r, 1}, .where = {1, 0, 24}, .found = 24, .expected = 16});
    expected.push_back(
        {.rule = rule::size, .at = {r, 2}, .where = {0, 0, 15}, .found = 15, .expected = 14});
    expected.push_back(
        {.rule = rule::size, .at = {r, 2}, .where = {1, 16, 8}, .found = 8, .expected = 16});
    expected.push_back(
        {.rule = rule::alignment, .at = {r, 3}, .where = {0, 20, 16}, .expected = 8});
    expected.push_back({.rule = rule::overlap, .at = {r, 3}, .where = {0, 32, 16}});
  }
  expect_only(b.peek(), expected);

  auto c = two_ranks();  // in place: at its own part, and nowhere else
  auto const g = c.group({1, 0});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    c.reduce_scatter(r, g, element::int64, reduction::sum, {0, 0, 32}, {0, r == 1 ? 0 : 16, 16});
    c.all_gather(r, g, {0, r == 1 ? 16 : 0, 16}, {0, 0, 32});
  }
  expect_only(c.peek(), {{.rule = rule::overlap, .at = {0, 1}, .where = {0, 0, 32}},
                         {.rule = rule::overlap, .at = {1, 1}, .where = {0, 0, 32}}});
}

TEST(program_shape, finds_waits_and_batches_that_make_no_sense) {
  auto b = two_ranks();
  b.fill(0, {0, 0, 8}, {.after = {0}});
  b.fill(0, {0, 0, 8}, {.after = {0, 2, -1}});
  expect_only(b.peek(), {{.rule = rule::wait, .at = {0, 0}, .found = 0},
                         {.rule = rule::wait, .at = {0, 1}, .found = 2},
                         {.rule = rule::wait, .at = {0, 1}, .found = -1}});
  auto c = two_ranks();
  c.fill(0, {2, 0, 8}, {.batch = 5});
  c.send(0, 1, {0, 0, 8}, 0, {.batch = 0});
  c.send(0, 1, {0, 0, 8}, 0, {.lane = 1, .batch = 0, .after = {1}});
  c.send(0, 1, {0, 0, 8}, 0, {.after = {2}});
  c.send(0, 1, {0, 0, 8}, 0, {.batch = 0});
  c.send(0, 1, {0, 0, 8}, 0, {.batch = 0});
  for (int n = 0; n < 5; ++n) c.receive(1, 0, {0, 0, 8});
  expect_only(c.peek(), {{.rule = rule::batch, .at = {0, 0}, .found = 5},
                         {.rule = rule::batch, .at = {0, 2}, .found = 0},
                         {.rule = rule::batch, .at = {0, 4}, .found = 0}});
}

}  // namespace
}  // namespace shunt::tests::program_shape_test
