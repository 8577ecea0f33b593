#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/expert_policies.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::replay_test {
namespace {

TEST(replay, by_hand) {
  // two experts on two ranks of two slots; window 1 turns window 0 around
  load_series const series{.layers = 1, .experts = 2, .loads = {90, 30, 30, 90, 60, 60}};
  shunt::replay_options const options{.slots_per_rank = {2, 2}};
  auto const swift = shunt::replay(series, shunt::swift_moe{}, options);
  // placements 0,0|0,1 then 0,1|1,1
  EXPECT_EQ(swift.steps, 2);
  EXPECT_EQ(swift.replacements, 2);
  EXPECT_DOUBLE_EQ(swift.fitted, 1);
  EXPECT_DOUBLE_EQ(swift.next_window, (100.0 / 60 + 80.0 / 60) / 2);
  EXPECT_DOUBLE_EQ(swift.worst_next, 100.0 / 60);
  EXPECT_DOUBLE_EQ(swift.exact_next, (90.0 / 60 + 1) / 2);
  EXPECT_DOUBLE_EQ(swift.moved, 1);  // rank 0 receives expert 1
  EXPECT_DOUBLE_EQ(swift.moved_per_step, 0.5);
  EXPECT_DOUBLE_EQ(swift.most_received, 0.5);
  EXPECT_DOUBLE_EQ(swift.copies, 1);
  EXPECT_DOUBLE_EQ(swift.drop_rate, (60.0 + 30.0) / 240);  // a slot takes 30
  auto once = options;
  once.every = 0;
  auto const still = shunt::replay(series, shunt::swift_moe{}, once);
  EXPECT_EQ(still.replacements, 1);
  EXPECT_EQ(still.moved, 0);
  EXPECT_DOUBLE_EQ(still.drop_rate, (60.0 + 30.0) / 240);
  once.capacity = {.numerator = 3};
  EXPECT_EQ(shunt::replay(series, shunt::swift_moe{}, once).drop_rate, 0);
}

TEST(replay, policies_see_the_placement_in_force_and_the_history) {
  load_series const series{.layers = 1, .experts = 2, .loads = {1, 9, 2, 8, 3, 7, 4, 6, 5, 5}};
  std::vector<std::int32_t> windows;
  loads_list first_loads;
  std::vector<bool> previous;
  auto const policy = [&](expert_layers const& p) {
    validate(p);
    windows.push_back(p.windows());
    first_loads.push_back(p.loads[0]);
    previous.push_back(!p.previous.empty());
    if (p.windows() > 0) {
      EXPECT_EQ(p.loads_of(0, p.windows() - 1)[0], p.loads[0] - 1);
    }
    return shunt::uniform{}(p);
  };
  auto const run = shunt::replay(series, policy, {.slots_per_rank = {1, 1}, .history = 2});
  EXPECT_EQ(windows, (std::vector<std::int32_t>{0, 1, 2, 2}));
  EXPECT_EQ(first_loads, (loads_list{1, 2, 3, 4}));
  EXPECT_EQ(previous, (std::vector<bool>{false, true, true, true}));
  EXPECT_EQ(run.moved, 0);
  first_loads.clear();
  (void)shunt::replay(series, policy, shunt::linear_trend{}, {.slots_per_rank = {1, 1}});
  EXPECT_EQ(first_loads, (loads_list{1, 3, 4, 5}));
  EXPECT_EQ(
      field_of([&] { (void)shunt::replay(series, shunt::uniform{}, {.slots_per_rank = {1}}); }),
      "policy");
  EXPECT_EQ(field_of([&] {
              (void)shunt::replay(series, shunt::uniform{}, {.slots_per_rank = {2}, .every = -1});
            }),
            "every");
  EXPECT_EQ(field_of([&] {
              (void)shunt::replay(series, shunt::uniform{}, {.slots_per_rank = {2}, .history = -1});
            }),
            "history");
  EXPECT_EQ(field_of([&] {
              (void)shunt::replay(series.between(0, 0), shunt::uniform{}, {.slots_per_rank = {2}});
            }),
            "loads");
}

TEST(replay, traffic_has_the_papers_figures) {
  // SYMI's running example: 0.269 s static and 0.273 s decoupled for both phases
  shunt::expert_traffic const model{.ranks = 2048,
                                    .slots_per_rank = 2,
                                    .experts = 64,
                                    .gradient_bytes = 3.375,
                                    .weight_bytes = 3.375,
                                    .state_bytes = 27,
                                    .network_bandwidth = 50,
                                    .host_bandwidth = 64};
  shunt::replay_result const run{.moved_per_step = 3, .copies = 2048, .most_received = 1};
  auto const tied = shunt::traffic(run, model, shunt::optimizer_place::tied),
             free = shunt::traffic(run, model, shunt::optimizer_place::decoupled);
  EXPECT_NEAR(tied.phase_seconds, 0.26908, 5e-6);
  EXPECT_NEAR(free.phase_seconds, 0.27316, 5e-6);
  EXPECT_DOUBLE_EQ(tied.phase_bytes, free.phase_bytes);
  EXPECT_DOUBLE_EQ(tied.phase_bytes, 2 * 4096 * 3.375);
  EXPECT_DOUBLE_EQ(tied.moved_bytes, 3 * 30.375);
  EXPECT_NEAR(tied.moved_seconds, 0.0675 + 0.54,
              1e-12);  // one expert of one layer, as the paper counts it
  auto const home = shunt::traffic(run, model, shunt::optimizer_place::at_home);
  EXPECT_DOUBLE_EQ(home.phase_bytes, 2048 * 6.75);
  EXPECT_DOUBLE_EQ(home.phase_seconds, 64.0 / 2048 * 6.75 / 64 + 6.75 / 50);
  EXPECT_EQ(home.moved_bytes, 0);
  EXPECT_EQ(to_string(shunt::optimizer_place::at_home), "at_home");
  EXPECT_EQ(free.moved_bytes, 0);
  EXPECT_EQ(free.moved_seconds, 0);
}

/// A trace of this project's own training.
load_series recorded() {
  std::ifstream in(SHUNT_TEST_DATA "/expert_trace.csv");
  std::string header;
  std::getline(in, header);
  auto const table = shunt::read_csv(in, "expert_trace.csv", 0);
  load_series series{.layers = 2, .experts = static_cast<std::int32_t>(table.columns) - 2};
  for (std::size_t r = 0; r < table.rows(); ++r) {
    if (table.row(r)[1] == 0) series.iterations.push_back(table.row(r)[0]);
    series.loads.insert(series.loads.end(), table.row(r).begin() + 2, table.row(r).end());
  }
  return series;
}

TEST(replay, of_our_own_training) {
  auto const series = recorded();
  validate(series);
  ASSERT_EQ(series.windows(), 40);
  for (std::int32_t w = 0; w < 40; ++w)
    for (std::int32_t l = 0; l < 2; ++l) {
      auto const row = series.loads_of(w, l);
      EXPECT_EQ(std::accumulate(row.begin(), row.end(), std::int64_t{0}), 1024);
    }
  shunt::replay_options const options{.slots_per_rank = counts_list(16, 4)};
  auto const swift = shunt::replay(series, shunt::swift_moe{}, options),
             uniform = shunt::replay(series, shunt::uniform{}, options);
  auto const flex = shunt::replay(series, shunt::flexmoe{}, options),
             eplb = shunt::replay(series, shunt::eplb{}, options);
  EXPECT_NEAR(swift.drop_rate, 0.1488, 5e-4);
  EXPECT_NEAR(uniform.drop_rate, 0.6354, 5e-4);
  EXPECT_LT(swift.next_window, uniform.next_window);
  EXPECT_LT(flex.next_window, uniform.next_window);
  EXPECT_LT(flex.moved, eplb.moved);
  EXPECT_EQ(uniform.moved, 0);
  for (auto const& run : {swift, uniform, flex, eplb}) {
    EXPECT_LE(run.exact_next, run.next_window + 1.0 / 64);  // whole tokens, 64 a rank
    EXPECT_LE(run.next_window, run.worst_next);
    EXPECT_GE(run.exact_next, 1);
  }
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

TEST(replay, windows_before_are_known_and_not_scored) {
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

TEST(replay, a_policy_without_history_does_not_notice_earlier_windows) {
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

TEST(replay, ranks_that_share_their_buffers_drop_only_what_their_imbalance_costs) {
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

TEST(replay, counts_replicas_away_from_their_node) {
  load_series const series{.layers = 1, .experts = 4, .loads = {9, 5, 3, 2, 9, 5, 3, 2}};
  shunt::replay_options const options{
      .slots_per_rank = {2, 2, 2, 2}, .ranks_per_node = 2, .groups = 2};
  EXPECT_EQ(shunt::replay(series, shunt::balanced{}, options).spilled, 0);
  EXPECT_EQ(shunt::replay(series, shunt::uniform{}, options).spilled,
            4);  // every node holds all experts
}

}  // namespace
}  // namespace shunt::tests::replay_test
