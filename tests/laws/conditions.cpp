// Instructions with a condition: they run on every executor, or leave no trace on any, and `check`
// knows what they promise.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::conditions_test {
namespace {

constexpr region data{0, 0, 16}, word{1, 0, 8}, other{2, 0, 16};

/// Two ranks: a compute, a message, a sum over both, a copy and a fill under a condition, and one
/// compute without.
program conditional(bool same_word = true) {
  program_builder b(2);
  auto const both = b.group({0, 1});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, data.buffer, data.size, true);
    b.buffer(r, word.buffer, word.size, true);
    b.buffer(r, other.buffer, other.size, true);
  }
  placing const when{.condition = word};
  b.compute(0, {.microbatch = 1}, {data}, {data}, when);
  b.send(0, 1, data, 3, when);
  b.receive(1, 0, other, 3, same_word ? when : placing{});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.all_reduce(r, both, element::int64, reduction::sum, data, when);
    b.copy(r, data, other, {.lane = 1, .after = {b.size(r) - 1}, .condition = word});
    b.fill(r, data, {.after = {b.size(r) - 1}, .condition = word});
    b.compute(r, {.microbatch = 2}, {other}, {data}, {.after = {b.size(r) - 2}});
  }
  return std::move(b).finish();
}

void set_word(mixing_work& w, rank_id r, std::int64_t value) {
  std::memcpy(w.buffer(r, word.buffer).data(), &value, sizeof value);
}

template <class Executor>
void runs_or_leaves_out(Executor const& executor) {
  auto const p = conditional();
  ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
  for (std::int64_t const value : {0, 1, -7}) {
    mixing_work expected(p), mine(p);
    for (rank_id const r : {rank_id{0}, rank_id{1}})
      set_word(expected, r, value), set_word(mine, r, value);
    auto const reference = inline_executor{}.run(p, expected);
    auto const result = executor.run(p, mine);
    EXPECT_TRUE(mine == expected) << value;
    EXPECT_EQ(result.done, reference.done);
    EXPECT_EQ(result.done[0], (progress{1, 0}));
    EXPECT_EQ(result.timeline.events.size(), value == 0 ? 2U : p.instructions());
    for (auto const& e : result.timeline.events) EXPECT_LE(e.start, e.end);
  }
}

TEST(conditions, run_or_leave_out_on_every_executor) {
  runs_or_leaves_out(inline_executor{});
  runs_or_leaves_out(thread_executor{});
  runs_or_leaves_out(simulated_executor{.cost = uneven_costs{}});
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    runs_or_leaves_out(on_host_streams(seed));
    runs_or_leaves_out(as_host_graphs(seed));
  }
}

TEST(conditions, without_work_the_simulator_is_told) {
  auto const p = conditional();
  simulated_executor const never{.cost = uneven_costs{}},
      always{.cost = uneven_costs{}, .conditions = true};
  EXPECT_EQ(never.run(p).timeline.events.size(), 2U);
  EXPECT_EQ(always.run(p).timeline.events.size(), p.instructions());
}

TEST(conditions, a_rank_may_fall_silent_at_what_is_left_out) {
  auto const p = conditional();
  for (std::int64_t const value : {0, 1})
    for (std::int32_t at = 0; at <= static_cast<std::int32_t>(p.ranks[0].instructions.size());
         ++at) {
      auto const run = [&](auto const& executor) {
        mixing_work w(p);
        for (rank_id const r : {rank_id{0}, rank_id{1}}) set_word(w, r, value);
        auto const result = executor.run(p, w);
        EXPECT_EQ(result.lost, std::vector<rank_id>(1, 0));
        EXPECT_EQ(result.done[0], (progress{0, at}));
      };
      failure_point const f{0, 0, at};
      run(inline_executor{.failures = {f}});
      run(thread_executor{.failures = {f}, .timeout = std::chrono::milliseconds(1)});
    }
}

TEST(conditions, disagreement_is_found) {
  auto const refused = [](program const& p, bool first, bool second, std::string const& why) {
    mixing_work w(p);
    set_word(w, 0, first), set_word(w, 1, second);
    try {
      (void)inline_executor{}.run(p, w);
      ADD_FAILURE() << "not refused";
    } catch (invalid_program const& error) {
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
    EXPECT_THROW((void)simulated_executor{.cost = uneven_costs{}}.run(p, w), invalid_program);
  };
  refused(conditional(), false, true,
          "rank 1, instruction 0: its condition lets it run and its send's doesn't");
  refused(conditional(), true, false,
          "rank 0, instruction 2: its condition lets it run and its other member's doesn't");
}

std::string violations(program const& p) {
  std::string all;
  for (auto const& v : check(p)) all += to_string(v) + "\n";
  return all;
}

TEST(conditions, check_knows_them) {
  EXPECT_EQ(violations(conditional(false)),
            "rank 0, instruction 1: condition (with rank 1, instruction 0)\n");

  auto lone = conditional();
  lone.ranks[1].instructions[1].condition = -1;
  EXPECT_EQ(violations(lone), "rank 1, instruction 1: condition (with rank 0, instruction 2)\n");

  auto outside = conditional();
  outside.ranks[0].instructions[0].condition = 1000;
  EXPECT_EQ(violations(outside), "rank 0, instruction 0: table\n");
  outside.ranks[0].instructions[0].condition = -2;
  EXPECT_EQ(violations(outside), "rank 0, instruction 0: table\n");

  auto narrow = conditional();
  auto& own = narrow.ranks[0];
  own.regions[static_cast<std::size_t>(own.instructions[0].condition)].size = 4;
  EXPECT_EQ(violations(narrow), "rank 0, instruction 0: condition: buffer 1 [0, +4)\n");
}

TEST(conditions, what_may_not_have_been_written_counts_as_unwritten) {
  auto const reads = [](bool sure_before, bool conditional_word_written) {
    program_builder b(1);
    for (std::int32_t n = 0; n < 3; ++n) b.buffer(0, buffer_id{n}, 16);
    if (conditional_word_written) b.compute(0, {}, {}, {word});
    if (sure_before) b.fill(0, other);
    b.compute(0, {.microbatch = 1}, {}, {other}, {.condition = word});
    b.compute(0, {.microbatch = 2}, {other}, {data});
    return violations(std::move(b).finish());
  };
  EXPECT_EQ(reads(true, true), "");
  EXPECT_EQ(reads(false, true), "rank 0, instruction 2: unwritten: buffer 2 [0, +16)\n");
  EXPECT_EQ(reads(true, false), "rank 0, instruction 1: unwritten: buffer 1 [0, +8)\n");
}

TEST(conditions, a_word_that_is_written_meanwhile_is_a_race) {
  program_builder b(1);
  for (std::int32_t n = 0; n < 3; ++n) b.buffer(0, n, 16, true);
  b.compute(0, {}, {}, {word});
  b.fill(0, other, {.lane = 1, .condition = word});
  EXPECT_EQ(violations(std::move(b).finish()),
            "rank 0, instruction 1: race: buffer 1 [0, +8) (with rank 0, instruction 0)\n");
}

}  // namespace
}  // namespace shunt::tests::conditions_test
