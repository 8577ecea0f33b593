// What check(program) must find, against rules written down a second time in the most direct way;
// and the dependencies it builds on.
#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "toys.hpp"

namespace {

using namespace shunt;
using namespace toys;
using rule = program_rule;

/// Two ranks with buffers 0 (64 bytes, persistent), 1 (64 bytes, persistent) and 2 (64 bytes, not
/// written).
program_builder two_ranks() {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}})
    for (bool const persistent : {true, true, false}) b.buffer(r, 64, persistent);
  return b;
}

void expect_only(program const& p, std::vector<program_violation> const& expected) {
  auto const found = check(p);
  EXPECT_EQ(found, expected);
  for (auto const& v : found)
    EXPECT_EQ(std::count(expected.begin(), expected.end(), v), 1) << to_string(v);
}

TEST(check_program, finds_regions_and_tables_out_of_range) {
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

TEST(check_program, finds_peers_channels_and_groups_that_cannot_be) {
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

TEST(check_program, finds_regions_that_do_not_fit_the_opcode) {
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

TEST(check_program, finds_parts_that_do_not_fit_the_group) {
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

TEST(check_program, finds_messages_without_a_counterpart) {
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

TEST(check_program, finds_collectives_that_disagree) {
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

TEST(check_program, finds_circles) {
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

TEST(check_program, finds_waits_and_batches_that_make_no_sense) {
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

TEST(check_program, finds_reads_of_what_nobody_wrote) {
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

TEST(check_program, finds_races_between_lanes_and_within_batches) {
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

TEST(check_program, finds_messages_whose_order_is_open) {
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

TEST(check_program, says_it_in_one_line) {
  EXPECT_EQ(
      to_string(program_violation{
          .rule = rule::message_size, .at = {1, 5}, .other = {2, 7}, .found = 64, .expected = 32}),
      "rank 1, instruction 5: message_size: 64 instead of 32 (with rank 2, instruction 7)");
  EXPECT_EQ(
      to_string(program_violation{.rule = rule::unwritten, .at = {0, 3}, .where = {2, 8, 16}}),
      "rank 0, instruction 3: unwritten: buffer 2 [8, +16)");
  EXPECT_EQ(to_string(program_violation{.rule = rule::group, .at = {0, -1}, .found = 4}),
            "group 4: group");
  EXPECT_EQ(to_string(program_violation{
                .rule = rule::missing_member, .at = {1, 4}, .other = {0, -1}, .found = 2}),
            "rank 1, instruction 4: missing_member: group 2 (with rank 0)");
}

/// The memory rules by brute force: the transitive closure of the order, and every byte of every
/// pair.
struct brute_force {
  explicit brute_force(rank_program const& own) {
    auto const n = own.instructions.size();
    std::vector<std::vector<bool>> before(n, std::vector<bool>(n, false));
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t i = 0; i < j; ++i) {
        auto const after = own.after(own.instructions[j]);
        if (own.instructions[i].lane != own.instructions[j].lane &&
            std::find(after.begin(), after.end(), static_cast<std::int32_t>(i)) == after.end())
          continue;
        before[i][j] = true;
        for (std::size_t k = 0; k < i; ++k) before[k][j] = before[k][j] || before[k][i];
      }
    using byte_set = std::bitset<2048>;
    std::vector<std::size_t> begin{0};  // of each buffer among all bytes
    byte_set written;
    for (auto const& b : own.buffers) {
      begin.push_back(begin.back() + static_cast<std::size_t>(b.size));
      for (auto k = begin[begin.size() - 2]; b.persistent && k < begin.back(); ++k) written.set(k);
    }
    EXPECT_LE(begin.back(), written.size());
    auto const bytes = [&](auto const& regions) {
      byte_set all;
      for (region const& r : regions)
        for (byte_count b = r.offset; b < r.offset + r.size; ++b)
          all.set(begin[r.buffer.index()] + static_cast<std::size_t>(b));
      return all;
    };
    std::vector<byte_set> reads, writes;
    for (auto const& i : own.instructions) {
      reads.push_back(bytes(own.reads(i)));
      writes.push_back(bytes(own.writes(i)));
    }
    for (std::size_t j = 0; j < n; ++j) {
      if ((reads[j] & ~written).any()) unwritten.insert(static_cast<std::int32_t>(j));
      written |= writes[j];
      for (std::size_t i = 0; i < j; ++i)
        if (!before[i][j] && ((writes[i] & (writes[j] | reads[j])) | (reads[i] & writes[j])).any())
          races = true;
    }
  }
  std::set<std::int32_t> unwritten{};  // instructions that read what stands before them in no list
  bool races = false;
};

/// Something a lowering could get wrong.
void damage(program& p, dice& d) {
  rank_id const r = d.below(static_cast<std::int64_t>(p.ranks.size()));
  auto& own = p.ranks[r];
  if (own.instructions.empty()) return;
  auto const n =
      static_cast<std::size_t>(d.below(static_cast<std::int64_t>(own.instructions.size())));
  auto& i = own.instructions[n];
  switch (d.below(8)) {
    case 0: i.after.count = 0; break;
    case 1: i.lane = static_cast<std::uint8_t>(d.below(3)); break;
    case 2: i.channel ^= 1; break;
    case 3:
      if (n > 0) {
        std::swap(own.instructions[n - 1], i);
      }
      break;
    case 4: i = {.code = opcode::compute}; break;
    case 5:
      if (i.writes.count > 0) own.regions[static_cast<std::size_t>(i.writes.first)].offset += 8;
      break;
    case 6:
      if (i.reads.count > 0) own.regions[static_cast<std::size_t>(i.reads.first)].offset ^= 8;
      break;
    default: own.buffers[d.below(static_cast<std::int64_t>(own.buffers.size()))].persistent = false;
  }
}

TEST(check_program, agrees_with_brute_force_and_with_the_executors) {
  dice d(101);
  int clean = 0, raced = 0, unwritten = 0, stuck = 0;
  for (int round = 0; round < 600; ++round) {
    auto p = random_program(d, 3);
    for (int n = d.below(3); n > 0; --n) damage(p, d);
    program_violations found = check(p);
    auto const has = [&](rule what) {
      return std::any_of(found.begin(), found.end(), [&](auto const& v) { return v.rule == what; });
    };
    program_violations shape;
    if (!check_shape(p, shape)) continue;

    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      brute_force const expected(p.ranks[r]);
      std::set<std::int32_t> holes;
      bool races = false;
      for (auto const& v : found) {
        if (v.at.rank != r) continue;
        if (v.rule == rule::unwritten) holes.insert(v.at.instruction);
        races = races || v.rule == rule::race;
      }
      EXPECT_EQ(holes, expected.unwritten) << "program " << round;
      EXPECT_EQ(races, expected.races) << "program " << round;
      raced += races;
      unwritten += !holes.empty();
    }

    auto const order = serial_order(p, find_dependencies(p));
    EXPECT_EQ(order.size() < p.instructions(), has(rule::deadlock));
    stuck += has(rule::deadlock);
    if (!found.empty()) continue;
    ++clean;  // any order that the lanes and the times allow gives the same bytes
    mixing_work reference(p), early(p), late(p);
    (void)inline_executor{}.run(p, reference);
    (void)simulated{uneven_costs{}}.run(p, early);
    (void)simulated{uneven_costs{17}}.run(p, late);
    EXPECT_TRUE(reference == early && reference == late) << "program " << round;
  }
  EXPECT_GT(clean, 100);
  EXPECT_GT(raced, 20);
  EXPECT_GT(unwritten, 20);
  EXPECT_GT(stuck, 5);
}

TEST(dependencies, match_in_order_and_can_be_run) {
  dice d(5);
  for (int round = 0; round < 100; ++round) {
    auto const p = random_program(d);
    auto const found = find_dependencies(p);
    auto const order = serial_order(p, found);
    ASSERT_EQ(order.size(), p.instructions());
    std::vector<std::int32_t> at(p.ranks.size(), 0);
    std::set<std::int32_t> sent;
    for (std::size_t k = 0; k < order.size(); ++k) {
      auto const [r, n] = order[k];
      EXPECT_EQ(n, at[r.index()]++);  // each list in its order
      auto const number = found.number({r, n});
      EXPECT_EQ(found.point(number), (program_point{r, n}));
      auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)];
      auto const partner = found.partner[static_cast<std::size_t>(number)];
      if (i.code == opcode::send) sent.insert(number);
      if (i.code == opcode::receive) {
        EXPECT_TRUE(sent.contains(partner));
        EXPECT_EQ(found.partner[static_cast<std::size_t>(partner)], number);
      }
      if (is_collective(i.code)) {
        auto const& m = found.meetings[static_cast<std::size_t>(partner)];
        EXPECT_EQ(m.group, i.group);
        auto const numbers = found.members_of(m);
        auto const place = std::find(numbers.begin(), numbers.end(), number);
        ASSERT_NE(place, numbers.end());
        EXPECT_EQ(p.groups[m.group][static_cast<std::size_t>(place - numbers.begin())], r);
      }
    }
    // the n-th message of a pair and channel is the n-th: along any list, the partners of one peer
    // and channel ascend
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      std::map<std::tuple<opcode, rank_id, std::int32_t>, std::int32_t> last;
      for (std::int32_t n = 0; n < static_cast<std::int32_t>(p.ranks[r].instructions.size()); ++n) {
        auto const& i = p.ranks[r].instructions[static_cast<std::size_t>(n)];
        if (i.code != opcode::send && i.code != opcode::receive) continue;
        auto& before = last.try_emplace({i.code, i.peer, i.channel}, -1).first->second;
        auto const partner = found.partner[static_cast<std::size_t>(found.number({r, n}))];
        EXPECT_LT(before, partner);
        before = partner;
      }
    }
  }
}

}  // namespace
