#include "shunt/measure/replay.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"

namespace {

using shunt::expert_layers;
using shunt::load_series;

std::string field_of(std::function<void()> const& call) {
  try {
    call();
  } catch (shunt::invalid_problem const& e) {
    return e.field();
  }
  return "nothing thrown";
}

/// A random walk of skewed loads, numbered from iteration 0.
load_series walk(std::uint64_t seed, std::int32_t windows) {
  std::mt19937_64 random(seed);
  auto const below = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
  };
  load_series series{.layers = 2, .experts = 6};
  std::vector<std::int64_t> now;
  for (std::size_t c = 0; c < series.cells(); ++c) now.push_back(100 + below(400));
  for (std::int32_t w = 0; w < windows; ++w) {
    for (auto& load : now) load += below(61) - std::min<std::int64_t>(30, load);
    series.loads.insert(series.loads.end(), now.begin(), now.end());
    series.iterations.push_back(10 * w);
  }
  return series;
}

TEST(ReplayFirst, WindowsBeforeAreKnownAndNotScored) {
  load_series const series{.layers = 1, .experts = 2, .loads = {1, 9, 2, 8, 3, 7, 4, 6, 5, 5}};
  std::vector<std::int32_t> windows;
  std::vector<std::int64_t> first_loads;
  std::vector<bool> previous;
  auto const policy = [&](expert_layers const& p) {
    windows.push_back(p.windows());
    first_loads.push_back(p.loads[0]);
    previous.push_back(!p.previous.empty());
    return shunt::uniform{}(p);
  };
  shunt::replay_options const options{.slots_per_rank = {1, 1}, .history = 2, .first = 2};
  auto const run = shunt::replay(series, policy, options);
  EXPECT_EQ(run.steps, 2);
  EXPECT_EQ(windows, (std::vector<std::int32_t>{2, 2}));
  EXPECT_EQ(first_loads, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(previous, (std::vector<bool>{false, true}));
  EXPECT_DOUBLE_EQ(run.fitted, (7.0 / 5 + 6.0 / 5) / 2);
  EXPECT_DOUBLE_EQ(run.next_window, (6.0 / 5 + 1) / 2);
  auto bad = options;
  bad.first = -1;
  EXPECT_EQ(field_of([&] { (void)shunt::replay(series, policy, bad); }), "first");
  bad.first = 4;
  EXPECT_EQ(field_of([&] { (void)shunt::replay(series, policy, bad); }), "loads");
}

TEST(ReplayFirst, APolicyWithoutHistoryDoesNotNoticeEarlierWindows) {
  int noticed = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    auto const whole = walk(seed, 12);
    auto const part = whole.between(40, 110);
    shunt::replay_options options{.slots_per_rank = {2, 2, 2, 2}, .every = 3};
    auto const alone = shunt::replay(part, shunt::swift_moe{}, options);
    options.first = 4;
    auto const within = shunt::replay(whole, shunt::swift_moe{}, options);
    EXPECT_EQ(within.steps, alone.steps);
    EXPECT_EQ(within.replacements, alone.replacements);
    EXPECT_EQ(within.fitted, alone.fitted);
    EXPECT_EQ(within.next_window, alone.next_window);
    EXPECT_EQ(within.moved, alone.moved);
    EXPECT_EQ(within.drop_rate, alone.drop_rate);
    EXPECT_EQ(within.rank_drop_rate, alone.rank_drop_rate);
    // and one with a history does, in its first placement already
    options.history = 8;
    options.every = 0;
    noticed += shunt::replay(whole, shunt::incremental{}, options).next_window !=
               shunt::replay(whole, shunt::balanced{}, options).next_window;
  }
  EXPECT_GE(noticed, 5);
}

TEST(ReplayDrops, RanksThatShareTheirBuffersDropOnlyWhatTheirImbalanceCosts) {
  // balanced puts a hot expert's single replica beside cold ones: slots overflow, ranks don't
  load_series const series{.layers = 1, .experts = 4, .loads = {50, 50, 10, 10, 50, 50, 10, 10}};
  shunt::replay_options const options{.slots_per_rank = {2, 2}};
  auto const run = shunt::replay(series, shunt::uniform{}, options);  // 0 1 | 2 3: 100 and 20
  EXPECT_DOUBLE_EQ(run.drop_rate, 40.0 / 120);                        // 20 of each hot expert
  EXPECT_DOUBLE_EQ(run.rank_drop_rate, 40.0 / 120);
  auto const even = shunt::replay(series, shunt::balanced{}, options);  // 60 and 60
  EXPECT_DOUBLE_EQ(even.next_window, 1);
  EXPECT_DOUBLE_EQ(even.drop_rate, 40.0 / 120);
  EXPECT_DOUBLE_EQ(even.rank_drop_rate, 0);
  for (std::uint64_t seed = 20; seed < 40; ++seed) {
    auto const some = walk(seed, 6);
    shunt::replay_options const equal{.slots_per_rank = {3, 3, 3}};
    auto const a = shunt::replay(some, shunt::swift_moe{}, equal);
    // shares of a rank's slots beyond their sum are never more than the sum of what is beyond each
    EXPECT_LE(a.rank_drop_rate, a.drop_rate + 1e-12);
    EXPECT_LE(a.rank_drop_rate, a.worst_next - 1 + 1e-12);
  }
}

TEST(ReplaySpilled, CountsReplicasAwayFromTheirNode) {
  load_series const series{.layers = 1, .experts = 4, .loads = {9, 5, 3, 2, 9, 5, 3, 2}};
  shunt::replay_options const options{
      .slots_per_rank = {2, 2, 2, 2}, .ranks_per_node = 2, .groups = 2};
  EXPECT_EQ(shunt::replay(series, shunt::balanced{}, options).spilled, 0);
  EXPECT_EQ(shunt::replay(series, shunt::uniform{}, options).spilled,
            4);  // every node holds all experts
}

}  // namespace
