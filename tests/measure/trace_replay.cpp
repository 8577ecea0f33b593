#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/measure/trace_replay.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::trace_replay_test {
namespace {

using counts = std::vector<std::pair<std::int64_t, std::int32_t>>;

/// A quarter of the rate for each node.
live_rate quarters(std::span<node_id const> live) {
  return {0.25 * static_cast<double>(live.size()), {}};
}

void expect_sums(trace_result const& run) {
  EXPECT_NEAR(run.done + run.lost.sum(), run.seconds, 1e-9 * (1 + run.seconds));
  double seconds = 0, done = 0;
  for (auto const& span : run.intervals) {
    double const length = static_cast<double>(span.end - span.begin) / 1000;
    seconds += length;
    done += length * span.mean;
  }
  EXPECT_NEAR(seconds, run.seconds, 1e-9 * (1 + run.seconds));
  EXPECT_NEAR(done, run.done, 1e-9 * (1 + run.seconds));
}

TEST(trace_replay, by_hand) {
  // 100 s of four nodes, 100 s of two, 100 s of three
  auto const trace = trace_of_counts({{0, 4}, {100'000, 2}, {200'000, 3}, {300'000, 3}});
  auto const plain = replay(trace, quarters, {});
  EXPECT_DOUBLE_EQ(plain.mean(), 0.75);
  EXPECT_DOUBLE_EQ(plain.lost.degraded, 75);
  ASSERT_EQ(plain.intervals.size(), 3u);
  EXPECT_EQ(plain.intervals[1],
            (interval_rate{.begin = 100'000, .end = 200'000, .live = 2, .rate = 0.5, .mean = 0.5}));

  auto const costly = replay(trace, quarters, {.lose = 0.5, .stop = 30, .join = 8},
                             {.iteration = 20, .every = 4, .checkpoint = 20});
  // Four iterations are 80 s of work, at rate 1 in 80 s, at 0.5 in 160 s, and 20 s of checkpoint.
  EXPECT_DOUBLE_EQ(costly.lost.aborted, 10);
  EXPECT_DOUBLE_EQ(costly.lost.rolled_back, 40);
  EXPECT_DOUBLE_EQ(costly.lost.stopped, 30 * 0.5);
  EXPECT_DOUBLE_EQ(costly.lost.joined, 8 * 0.75);
  EXPECT_DOUBLE_EQ(costly.done, 80 - 50 + 0.5 * 70 * 160 / 180 + 0.75 * 92 * 80 / (80 + 20 * 0.75));
  expect_sums(costly);
}

TEST(trace_replay, several_removals_at_one_time_are_one_event) {
  auto const at_once = replay(trace_of_counts({{0, 4}, {50'000, 1}, {90'000, 1}}), quarters,
                              {.lose = 1, .stop = 5}, {.iteration = 10});
  EXPECT_DOUBLE_EQ(at_once.lost.aborted, 10);
  EXPECT_DOUBLE_EQ(at_once.lost.stopped, 5 * 0.25);
}

TEST(trace_replay, a_removal_begins_its_stop_anew_and_takes_no_more_than_was_done) {
  // The second removal lies within the stop of the first: nothing was done since.
  auto const run = replay(trace_of_counts({{0, 4}, {20'000, 3}, {26'000, 2}, {60'000, 2}}),
                          quarters, {.lose = 1, .stop = 10}, {.iteration = 100});
  EXPECT_DOUBLE_EQ(run.lost.aborted, 20);
  EXPECT_DOUBLE_EQ(run.lost.stopped, 6 * 0.75 + 10 * 0.5);
  EXPECT_DOUBLE_EQ(run.done, 24 * 0.5);
  expect_sums(run);
}

TEST(trace_replay, an_exchange_of_nodes_is_a_removal_and_an_addition) {
  failure_trace const trace{.nodes = {"a", "b"},
                            .events = {{0, 0, false}, {1000, 0, true}, {1000, 1, false}},
                            .end = 11'000};
  change_cost const costs{.lose = 0.5, .stop = 2, .join = 3};
  auto const run = replay(trace, [](auto) { return live_rate{1, {}}; }, costs);
  EXPECT_DOUBLE_EQ(run.lost.aborted, 0.5);
  EXPECT_DOUBLE_EQ(run.lost.stopped, 2);
  EXPECT_DOUBLE_EQ(run.lost.joined, 1);  // beyond the stop
  expect_sums(run);
}

TEST(trace_replay, without_a_plan_the_rate_is_0_from_that_event_on) {
  auto const trace = trace_of_counts({{0, 4}, {10'000, 1}, {20'000, 4}, {30'000, 4}});
  auto const policy = [](std::span<node_id const> live) -> live_rate {
    if (live.size() < 2) return {0, "stage 1 has no live worker"};
    return {1, {}};
  };
  auto const run = replay(trace, policy, {});
  EXPECT_DOUBLE_EQ(run.done, 10);
  EXPECT_DOUBLE_EQ(run.lost.without_plan, 20);
  ASSERT_TRUE(run.ended);
  EXPECT_EQ(run.ended->event, 6);  // four come, three leave: the last of them
  EXPECT_EQ(run.ended->why, "stage 1 has no live worker");
  EXPECT_EQ(run.intervals.back().rate, 0);
  expect_sums(run);
  // A rate of 0 with a plan waits for nodes.
  auto const waiting = replay(
      trace,
      [](std::span<node_id const> live) { return live_rate{live.size() < 2 ? 0.0 : 1.0, {}}; }, {});
  EXPECT_FALSE(waiting.ended);
  EXPECT_DOUBLE_EQ(waiting.done, 20);
}

TEST(trace_replay, the_policy_is_asked_once_for_each_set) {
  std::vector<std::size_t> asked;
  auto const trace =
      trace_of_counts({{0, 4}, {10, 2}, {20, 4}, {30, 2}, {40, 3}, {50, 4}, {60, 4}});
  (void)replay(trace,
               [&](std::span<node_id const> live) {
                 asked.push_back(live.size());
                 return quarters(live);
               },
               {});
  EXPECT_EQ(asked, (std::vector<std::size_t>{4, 2, 3}));
}

TEST(trace_replay, seconds_are_done_or_lost_for_one_cause) {
  random_cases random(7);
  for (int round = 0; round < 500; ++round) {
    counts all;
    std::int64_t at = 0;
    for (int k = random.roll(2, 20); k > 0; --k) {
      all.emplace_back(at, random.roll(1, 6));
      at += random.roll(1, 40) * 1000;
    }
    auto const trace = trace_of_counts(all);
    change_cost const change{.lose = random.roll(0, 4) / 4.0,
                             .stop = random.roll(0, 20) / 2.0,
                             .join = random.roll(0, 20) / 2.0};
    iteration_costs const costs{.iteration = random.roll(1, 30) / 2.0,
                                .every = random.roll(0, 3),
                                .checkpoint = random.roll(0, 8) / 4.0};
    auto const run = replay(trace, quarters, change, costs);
    expect_sums(run);
    EXPECT_GE(run.done, -1e-9);
    // What changes cost makes nothing better, and dearer changes don't either.
    EXPECT_LE(run.done, replay(trace, quarters, {}).done + 1e-9);
    auto dearer = change;
    dearer.lose += 0.5;
    EXPECT_LE(replay(trace, quarters, dearer, costs).done, run.done + 1e-9);
  }
}

TEST(trace_replay, each_change_has_its_own_cost) {
  // 40 s each: nodes 0 to 3, without 3, without 3 and 2, with 2 again, with all.
  auto const trace =
      trace_of_counts({{0, 4}, {40'000, 3}, {80'000, 2}, {120'000, 3}, {160'000, 4}, {200'000, 4}});
  using nodes = std::vector<node_id>;
  std::vector<std::pair<nodes, nodes>> asked;
  // The loss of node 3 moves nothing; node 2 had two states that no other node of its stage has.
  auto const changes = [&](std::span<node_id const> before, std::span<node_id const> after) {
    asked.emplace_back(nodes(before.begin(), before.end()), nodes(after.begin(), after.end()));
    double const moved = std::max(before.size(), after.size()) == 3 ? 6 : 0;
    return change_cost{.lose = 0.25, .stop = 1 + moved, .join = 2 + moved};
  };
  auto const run = replay(trace, quarters, changes, {.iteration = 8});
  EXPECT_EQ(asked, (std::vector<std::pair<nodes, nodes>>{{{0, 1, 2, 3}, {0, 1, 2}},
                                                         {{0, 1, 2}, {0, 1}},
                                                         {{0, 1}, {0, 1, 2}},
                                                         {{0, 1, 2}, {0, 1, 2, 3}}}));
  EXPECT_DOUBLE_EQ(run.lost.aborted, 2 * 0.25 * 8);
  EXPECT_DOUBLE_EQ(run.lost.stopped, 1 * 0.75 + 7 * 0.5);
  EXPECT_DOUBLE_EQ(run.lost.joined, 8 * 0.75 + 2 * 1);
  // 40 s at rates 1, 3/4, 1/2, 3/4, 1
  EXPECT_DOUBLE_EQ(run.done, 160 - 4 - 4.25 - 8);
  expect_sums(run);
}

TEST(trace_replay, refusals_name_the_field) {
  auto const trace = trace_of_counts({{0, 4}, {10, 2}, {20, 2}});
  auto const refusal = [&](change_cost const& change, iteration_costs const& costs) {
    return thrown_by([&] { (void)replay(trace, quarters, change, costs); });
  };
  EXPECT_EQ(refusal({}, {.iteration = 0}), "iteration: must be above 0, is 0.000000");
  EXPECT_EQ(refusal({.lose = -1}, {}), "lose: must be at least 0, is -1.000000 at event 5");
  EXPECT_EQ(refusal({.stop = -1}, {}), "stop: must be at least 0, is -1.000000 at event 5");
  EXPECT_EQ(refusal({.join = std::numeric_limits<double>::infinity()}, {}),
            "join: must be at least 0, is inf at event 5");
  EXPECT_EQ(refusal({}, {.every = -1}), "every: must be at least 0, is -1.000000");
  EXPECT_EQ(field_of([&] { (void)refusal({}, {}); }), "nothing thrown");
  EXPECT_EQ(field_of([&] { (void)replay(trace, quarters, {}, {.checkpoint = std::nan("")}); }),
            "checkpoint");
  EXPECT_EQ(thrown_by([&] { (void)replay(trace, [](auto) { return live_rate{-1, {}}; }, {}); }),
            "policy: has the rate -1.000000 after event 3");
  EXPECT_EQ(thrown_by([&] {
              (void)replay(failure_trace{.nodes = {"a"}, .events = {{7, 0, false}}, .end = 7},
                           quarters, {});
            }),
            "end: is at 7 ms, where the first event lies: nothing to replay");
}

}  // namespace
}  // namespace shunt::tests::trace_replay_test
