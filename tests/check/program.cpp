// What check(program) must find, against rules written down a second time in the most direct way.
#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/program_shape.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/program_violations.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::program_test {
namespace {

using rule = program_rule;

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
void damage(program& p, random_choices& d) {
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

TEST(program, agrees_with_brute_force_and_with_the_executors) {
  random_choices d(101);
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
    (void)simulated_executor{uneven_costs{}}.run(p, early);
    (void)simulated_executor{uneven_costs{17}}.run(p, late);
    EXPECT_TRUE(reference == early && reference == late) << "program " << round;
  }
  EXPECT_GT(clean, 100);
  EXPECT_GT(raced, 20);
  EXPECT_GT(unwritten, 20);
  EXPECT_GT(stuck, 5);
}

}  // namespace
}  // namespace shunt::tests::program_test
