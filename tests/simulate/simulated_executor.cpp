// The virtual clock: hand-computed times, and a second way to compute them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::simulated_executor_test {
namespace {

/// A compute takes as many ticks as its micro-batch says; a message 10 bytes a tick and 3 ticks on
/// its way.
struct plain_costs {
  ticks compute(rank_id, operation const& op) const { return op.microbatch.value(); }
  transfer_time transfer(rank_id, rank_id, byte_count bytes) const { return {bytes / 10, 3}; }
};

struct with_collectives : plain_costs {
  ticks collective(opcode, std::span<rank_id const> group, byte_count bytes) const {
    return static_cast<ticks>(group.size()) * 100 + bytes;
  }
};

static_assert(cost_model<plain_costs> && !collective_cost_model<plain_costs>);
static_assert(collective_cost_model<with_collectives>);

using spans = std::vector<std::pair<ticks, ticks>>;  // start and end

spans spans_of(outcome const& o, rank_id r) {
  spans found;
  for (event const& e : o.timeline.events)
    if (e.rank == r) found.emplace_back(e.start, e.end);
  return found;
}

program_builder ranks(std::int32_t n) {
  program_builder b(n);
  for (rank_id const r : ids<rank_id>(n)) b.buffer(r, 1000, true);
  return b;
}

void wait_for(program_builder& b, rank_id r, std::int32_t takes, placing const& at = {}) {
  b.compute(r, {.microbatch = takes}, {}, {}, at);
}

TEST(simulated_executor, a_message_holds_its_lane_then_travels) {
  auto b = ranks(2);
  wait_for(b, 0, 5);
  b.send(0, 1, {0, 0, 40});  // 5..9, there at 12
  wait_for(b, 0, 1);
  b.send(0, 1, {0, 0, 20});  // 10..12, there at 15
  wait_for(b, 1, 2);
  b.receive(1, 0, {0, 0, 40});
  wait_for(b, 1, 20);
  b.receive(1, 0, {0, 0, 20});
  auto const o = simulated_executor{plain_costs{}}.run(b.peek());
  EXPECT_EQ(o.timeline.seconds_per_tick, 0);
  EXPECT_EQ(spans_of(o, 0), (spans{{0, 5}, {5, 9}, {9, 10}, {10, 12}}));
  EXPECT_EQ(spans_of(o, 1), (spans{{0, 2}, {2, 12}, {12, 32}, {32, 32}}));
}

TEST(simulated_executor, lanes_run_side_by_side_and_share_links) {
  auto b = ranks(3);
  wait_for(b, 0, 4);
  b.send(0, 1, {0, 0, 50}, 0, {.lane = 1});          // 0..5, there at 8
  b.send(0, 1, {0, 0, 30}, 1, {.lane = 2});          // its link is free at 5: 0..8, there at 11
  b.send(0, 2, {0, 0, 30}, 0, {.lane = 3});          // another link: 0..3, there at 6
  wait_for(b, 0, 10, {.lane = 1, .after = {0, 2}});  // after lane 0 at 4, lane 1 at 5, lane 2 at 8
  wait_for(b, 0, 1);                                 // 4..5
  b.receive(1, 0, {0, 0, 50});
  b.receive(1, 0, {0, 0, 30}, 1);
  b.receive(2, 0, {0, 0, 30});
  auto const o = simulated_executor{plain_costs{}}.run(b.peek());
  EXPECT_EQ(spans_of(o, 0), (spans{{0, 4}, {0, 5}, {0, 8}, {0, 3}, {4, 5}, {8, 18}}));
  EXPECT_EQ(spans_of(o, 1), (spans{{0, 8}, {8, 11}}));
  EXPECT_EQ(spans_of(o, 2), (spans{{0, 6}}));
  EXPECT_EQ(o.timeline.events[4].instruction, 5);  // as they started, not as they stand
}

TEST(simulated_executor, a_collective_ends_for_all_at_once) {
  auto b = ranks(3);
  auto const g = b.group({2, 0});
  wait_for(b, 0, 7);
  wait_for(b, 2, 4);
  for (rank_id const r : {rank_id{0}, rank_id{2}}) {
    b.all_reduce(r, g, element::int64, reduction::sum, {0, 0, 80});
    wait_for(b, r, 1);
  }
  auto const waiting = simulated_executor{plain_costs{}}.run(b.peek());
  EXPECT_EQ(spans_of(waiting, 0), (spans{{0, 7}, {7, 7}, {7, 8}}));
  EXPECT_EQ(spans_of(waiting, 2), (spans{{0, 4}, {4, 7}, {7, 8}}));
  auto const costly = simulated_executor{with_collectives{}}.run(b.peek());
  EXPECT_EQ(spans_of(costly, 0), (spans{{0, 7}, {7, 287}, {287, 288}}));
  EXPECT_EQ(spans_of(costly, 2), (spans{{0, 4}, {4, 287}, {287, 288}}));
}

TEST(simulated_executor, a_rank_goes_on_as_soon_as_its_own_list_ends) {
  auto b = ranks(2);
  wait_for(b, 0, 3);
  b.send(0, 1, {0, 0, 0});
  b.receive(1, 0, {0, 0, 0});
  wait_for(b, 1, 10);
  no_work none;
  simulated_executor const clock{plain_costs{}};
  auto session = clock.open(none);
  for (int n = 0; n < 3; ++n) session.submit(b.peek());
  EXPECT_TRUE(session.wait_until(2));
  EXPECT_EQ(session.completed_at(1), 16);
  EXPECT_EQ(session.completed_at(2), 26);
  auto const o = session.wait();
  EXPECT_EQ(spans_of(o, 0), (spans{{0, 3}, {3, 3}, {3, 6}, {6, 6}, {6, 9}, {9, 9}}));
  EXPECT_EQ(spans_of(o, 1), (spans{{0, 6}, {6, 16}, {16, 16}, {16, 26}, {26, 26}, {26, 36}}));
}

TEST(simulated_executor, silence_is_noticed_after_the_timeout) {
  auto b = ranks(3);
  wait_for(b, 0, 4);
  b.send(0, 1, {0, 0, 0});  // never sent: silent from 4
  wait_for(b, 1, 1);
  b.receive(1, 0, {0, 0, 0});
  wait_for(b, 1, 1);
  for (int n = 0; n < 5; ++n) wait_for(b, 2, 3);
  simulated_executor const clock{
      .cost = plain_costs{}, .failures = {{.rank = 0, .instruction = 1}}, .timeout = 3};
  auto const o = clock.run(b.peek());  // rank 1 waits from 1 on, all stop at 7
  EXPECT_EQ(o.lost, std::vector<rank_id>{0});
  EXPECT_EQ(o.done[0], (progress{0, 1}));
  EXPECT_EQ(o.done[1], (progress{0, 1}));
  EXPECT_EQ(o.done[2], (progress{0, 3}));
  EXPECT_EQ(spans_of(o, 2), (spans{{0, 3}, {3, 6}, {6, 9}}));  // what has begun is finished

  simulated_executor const unnoticed{
      .cost = plain_costs{}, .failures = {{.rank = 0, .instruction = 2}}, .timeout = 3};
  auto const last = unnoticed.run(b.peek());  // nobody needs it any more
  EXPECT_EQ(last.lost, std::vector<rank_id>{0});
  EXPECT_EQ(last.done[2], (progress{1, 0}));
}

/// Times by going round and round until nothing changes any more.
spans relaxed(program const& p, uneven_costs const& costs) {
  auto const d = find_dependencies(p);
  spans t(d.partner.size(), {0, 0});
  for (bool changed = true; changed;) {
    changed = false;
    for (rank_id const r : ids<rank_id>(p.ranks.size())) {
      auto const& own = p.ranks[r];
      for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
        auto const& i = own.instructions[static_cast<std::size_t>(n)];
        auto const number = static_cast<std::size_t>(d.number({r, n}));
        ticks start = 0;
        for (std::int32_t k = 0; k < n; ++k) {
          auto const after = own.after(i);
          if (own.instructions[static_cast<std::size_t>(k)].lane == i.lane ||
              std::find(after.begin(), after.end(), k) != after.end())
            start = std::max(start, t[static_cast<std::size_t>(d.number({r, k}))].second);
        }
        ticks end = start;
        auto const partner = static_cast<std::size_t>(d.partner[number]);
        if (i.code == opcode::compute) end += costs.compute(r, i.op);
        if (i.code == opcode::send)
          end += costs.transfer(r, i.peer, own.reads(i)[0].size).occupancy;
        if (i.code == opcode::receive)
          end = std::max(end, t[partner].second +
                                  costs.transfer(i.peer, r, own.writes(i)[0].size).latency);
        if (is_collective(i.code))
          for (auto const m : d.members_of(d.collectives[partner]))
            end = std::max(end, t[static_cast<std::size_t>(m)].first);
        if (t[number] != std::pair(start, end)) {
          t[number] = {start, end};
          changed = true;
        }
      }
    }
  }
  return t;
}

TEST(simulated_executor, agrees_with_relaxation) {
  random_choices d(23);
  for (int round = 0; round < 80; ++round) {
    auto p = random_program(d, round % 2 == 0 ? 1 : 3);
    for (auto& own : p.ranks)
      for (auto& i : own.instructions)
        if (i.code == opcode::send) i.lane = 0;  // so that no two lanes share a link
    tie_lanes(p);
    ASSERT_TRUE(check(p).empty());
    auto const expected = relaxed(p, {});
    auto const d2 = find_dependencies(p);
    auto const o = simulated_executor{uneven_costs{}}.run(p);
    ASSERT_EQ(o.timeline.events.size(), expected.size());
    for (event const& e : o.timeline.events)
      EXPECT_EQ(std::pair(e.start, e.end),
                expected[static_cast<std::size_t>(d2.number({e.rank, e.instruction}))]);
    simulated_executor const by_time{
        .cost = uneven_costs{},
        .failures = {{.rank = 0, .iteration = 99}}};  // never strikes, but could
    EXPECT_EQ(by_time.run(p), o);
    mixing_work w(p);
    EXPECT_EQ(simulated_executor{uneven_costs{}}.run(p, w), o);
  }
}

TEST(simulated_executor, scaling_all_costs_scales_all_times) {
  random_choices d(29);
  for (int round = 0; round < 20; ++round) {
    auto const p = random_program(d, 3);
    auto const once = simulated_executor{uneven_costs{}}.run(p),
               often = simulated_executor{uneven_costs{1000}}.run(p);
    ASSERT_EQ(once.timeline.events.size(), often.timeline.events.size());
    for (std::size_t k = 0; k < once.timeline.events.size(); ++k) {
      auto expected = once.timeline.events[k];
      expected.start *= 1000;
      expected.end *= 1000;
      EXPECT_EQ(often.timeline.events[k], expected);
    }
  }
}

}  // namespace
}  // namespace shunt::tests::simulated_executor_test
