#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../examples/adaptive_experts/options.hpp"
#include "../../examples/adaptive_experts/policy_training.hpp"
#include "../../examples/adaptive_experts/systems.hpp"
#include "shunt/core/error.hpp"
#include "support/small_experts.hpp"

namespace example::tests::adaptive_experts_systems_test {
namespace {

using namespace small_experts;

/// Two ranks of two slots, four experts in one layer, 8 tokens a rank.
training_setup two_ranks() {
  training_setup s;
  s.model.layers = 1;
  s.model.experts = 4;
  s.ranks = 2;
  s.slots_per_rank = 2;
  s.tokens = 8;
  return s;
}
/// An iteration of it: 16 tokens, of which some drop.
iteration_record record(double loss, std::int64_t dropped) {
  return {.loss = loss,
          .loads = {10, 2, 2, 2},
          .dropped = {dropped},
          .fullest = {9},
          .exchanged = {5},
          .hosted = {4},
          .received = {1},
          .live = 2,
          .gradients = {.formula = 400, .counted = 400, .plain = 200, .deduplicated = 100},
          .weights = {.formula = 200, .counted = 200, .plain = 100, .deduplicated = 25}};
}
/// Losses fall by `step` from 10 on.
policy_run run_of(std::string name, std::uint64_t seed, double step, std::int64_t dropped) {
  policy_run run{.name = std::move(name), .seed = seed};
  for (int t = 0; t < 20; ++t) run.records.push_back(record(10 - step * t, dropped));
  return run;
}

std::string why(auto const& action) {
  try {
    action();
  } catch (shunt::invalid_problem const& e) {
    return e.what();
  }
  return "nothing";
}

TEST(systems, have_names) {
  EXPECT_EQ(parse_policies("swift_moe,deepspeed,flexmoe-10"),
            (std::vector<std::string>{"swift_moe", "deepspeed", "flexmoe-10"}));
  EXPECT_EQ(parse_policies("both"), (std::vector<std::string>{"swift_moe", "uniform"}));
  auto const refused = [](std::string const& text) {
    return why([&] { static_cast<void>(parse_policies(text)); });
  };
  EXPECT_EQ(refused("swift_moe,flexmoe-0"),
            "--policy[1] (interval of \"flexmoe-0\"): must be at least 1, is 0");
  EXPECT_EQ(refused("flexmoe--3"),
            "--policy (interval of \"flexmoe--3\"): must be at least 1, is -3");
  EXPECT_EQ(refused("flexmoe-"), "--policy (interval of \"flexmoe-\"): \"\" is not a whole number");
  EXPECT_EQ(refused("uniform,best"),
            "--policy[1]: \"best\" is not one of swift_moe, uniform, random, eplb, balanced, "
            "incremental, deepspeed, flexmoe-ITERATIONS, both");
  EXPECT_EQ(refused(""), "--policy: is empty");
}

TEST(systems, give_sources_room_under_deepspeed_alone) {
  auto s = two_ranks();
  s.seed = 9;
  s.capacity = shunt::capacity_factor{5, 4};
  EXPECT_EQ(setup_for(s, "deepspeed").sources,
            (shunt::source_capacity{.factor = {5, 4}, .min_capacity = 4, .seed = 9}));
  EXPECT_FALSE(setup_for(s, "uniform").sources);
  EXPECT_FALSE(setup_for(s, "flexmoe-10").sources);
  s.capacity.reset();
  EXPECT_FALSE(setup_for(s, "deepspeed").sources);  // dropless
}

TEST(systems, work_by_hand) {
  auto const s = two_ranks();
  auto const r = record(1, 0);
  // 16 tokens of the claimed model for each of the run
  EXPECT_EQ(shunt::layer_work(setup_for(s, "swift_moe"), r, 0, state_of("swift_moe"), 128),
            (shunt::moe_layer_work{.computed = 144,
                                   .exchanged = 80,
                                   .gradients = 1,  // 100 of 400 bytes of 4 slots
                                   .weights = 0.5,  // 25 of 200
                                   .received = 1}));
  EXPECT_EQ(shunt::layer_work(setup_for(s, "flexmoe-10"), r, 0, state_of("flexmoe-10"), 8),
            (shunt::moe_layer_work{
                .computed = 9, .exchanged = 5, .gradients = 0, .weights = 0, .received = 1}));
  // groups of 2 ranks, 4 experts, room for max(8 / 4, 4) tokens: half of 16 leave
  EXPECT_EQ(shunt::layer_work(setup_for(s, "deepspeed"), r, 0, state_of("deepspeed"), 8).exchanged,
            8);
}

TEST(systems, spreads) {
  EXPECT_EQ(text_of(spread({3, 1, 2}), 1), "2 (1 to 3)");
  EXPECT_EQ(text_of(spread({4, 1, 2, 3}), 1), "2.5 (1 to 4)");
  EXPECT_EQ(text_of(spread(), 1), "-");
  EXPECT_TRUE(json_of(spread()).is_null());
}

TEST(systems, are_compared_seed_by_seed) {
  auto const s = two_ranks();
  std::vector<std::string> const names{"swift_moe", "deepspeed", "flexmoe-10"};
  std::vector<policy_run> runs;
  for (std::uint64_t const seed : {1U, 2U}) {
    runs.push_back(run_of("swift_moe", seed, 0.4, 1));
    runs.push_back(run_of("deepspeed", seed, seed == 1 ? 0.1 : 0.2, 4));
    runs.push_back(run_of("flexmoe-10", seed, 0.2, 2));
  }
  system_table const table(s, names, runs, std::nullopt);
  // the slowest ends with 10 - 0.1 x (10 + ... + 19) / 10
  EXPECT_DOUBLE_EQ(table.target(), 10 - 1.45);
  auto const iterations = [&](std::size_t i, std::size_t k) {
    return table.figures(i, k).iterations.value_or(0);
  };
  EXPECT_EQ(iterations(1, 0), 20U);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t k = 0; k < 2; ++k)
      EXPECT_EQ(iterations(i, k),
                shunt::iterations_to(runs[k * 3 + i].records, table.target()).value_or(0));
  EXPECT_DOUBLE_EQ(table.figures(0, 0).dropped, 1.0 / 16);
  EXPECT_DOUBLE_EQ(table.reduction(1, system_table::percent_dropped).median, 75);
  EXPECT_DOUBLE_EQ(table.reduction(2, system_table::percent_dropped).least, 50);
  // slots for 4 tokens each: of 10 tokens 6 drop where all sources share them
  EXPECT_DOUBLE_EQ(table.figures(1, 0).pooled, 6.0 / 16);
  auto const fewer = table.reduction(1, system_table::iterations);
  EXPECT_DOUBLE_EQ(fewer.most, 100 * (1 - static_cast<double>(iterations(0, 0)) / 20));
  // minutes are iterations times seconds; only tied state pays for what moves
  auto const& f = table.figures(2, 0);
  EXPECT_DOUBLE_EQ(*f.minutes(false),
                   static_cast<double>(iterations(2, 0)) * f.seconds.total() / 60);
  EXPECT_GT(f.seconds.migrate, 0);
  EXPECT_EQ(table.figures(0, 0).seconds.migrate, 0);
  std::ostringstream text, alone;
  table.print(text);
  table.print_reductions(text, std::vector<published_reduction>{{"deepspeed", 1.5, 60, 2.5},
                                                                {"flexmoe-10", 3.5, 40, 4.5}});
  table.print_reductions(alone);
  EXPECT_NE(text.str().find("swift_moe has less, in %; last, the paper's\n"), std::string::npos);
  EXPECT_NE(text.str().find("  1.5     60   2.5\nthan flexmoe-10 "), std::string::npos);
  EXPECT_NE(alone.str().find("swift_moe has less, in %\n"), std::string::npos);
  EXPECT_NE(text.str().find("flexmoe-10: a rank receives at most 1 experts"), std::string::npos);
  auto const json = table.json();
  EXPECT_EQ(json["systems"].size(), 3U);
  EXPECT_EQ(json["systems"][1]["reductions_percent"]["drops"]["median"], 75);
  EXPECT_EQ(json["systems"][2]["second_copy_bytes"], 9 * 9437184.0);
}

TEST(systems, are_drawn_over_time) {
  auto const s = two_ranks();
  std::vector<std::string> const names{"swift_moe", "deepspeed"};
  std::vector<policy_run> runs;
  for (std::uint64_t const seed : {1U, 2U, 3U}) {
    runs.push_back(run_of("swift_moe", seed, 0.1 * static_cast<double>(seed), 1));
    runs.push_back(run_of("deepspeed", seed, 0.1, 4));
  }
  system_table const table(s, names, runs, std::nullopt);
  auto const chart = table.loss_over_time();
  ASSERT_EQ(chart.lines.size(), 3U);
  for (std::size_t i = 0; i < 2; ++i) {
    auto const& line = chart.lines[i];
    auto const& f = table.figures(i, 1);
    EXPECT_EQ(line.name, names[i]);
    ASSERT_FALSE(line.points.empty());
    // seed 2 is the median of losses; seconds do not depend on the seed here
    EXPECT_DOUBLE_EQ(line.points.back().second, f.last_loss);
    EXPECT_DOUBLE_EQ(line.points.back().first, 60 * f.curve.back().first);
    EXPECT_NEAR(f.curve[*f.iterations - 1].first, *f.minutes(false), 1e-12);
  }
  // the first loss shown is a quarter of the way above the target at most
  double const begin = table.figures(1, 1).curve[10].second;
  EXPECT_LE(chart.lines[1].points.front().second, table.target() + (begin - table.target()) / 4);
  EXPECT_EQ(chart.lines[2].name, "target");
  EXPECT_EQ(chart.lines[2].points.back().second, table.target());
  EXPECT_EQ(table.loss_over_time().title, "The end of training, medians of 3 seeds");
}

TEST(systems, that_miss_the_target_have_no_minutes) {
  auto const s = two_ranks();
  system_table const table(s, {"swift_moe", "deepspeed"},
                           {run_of("swift_moe", 1, 0.4, 1), run_of("deepspeed", 1, 0.1, 1)}, 6);
  EXPECT_TRUE(table.figures(0, 0).iterations);
  EXPECT_FALSE(table.figures(1, 0).iterations);
  EXPECT_FALSE(table.figures(1, 0).minutes(true));
  EXPECT_EQ(table.reduction(1, system_table::iterations).count, 0U);
  std::ostringstream text;
  table.print(text);
  EXPECT_NE(text.str().find("0 of 1 runs: -"), std::string::npos);
}

TEST(systems, are_trained_alike_on_any_number_of_threads) {
  auto s = small();
  s.capacity = shunt::capacity_factor{};
  s.iterations = 4;
  std::vector<std::string> const names{"swift_moe", "deepspeed", "flexmoe-2"};
  auto const all = [&](std::size_t threads) {
    std::vector<std::uint64_t> said;
    auto const runs = train_systems(
        s, names, 2, threads,
        [](training_setup const& own, std::string const& name) {
          return train_here(own, name, words(), shunt::inline_executor{}, listener{});
        },
        [&](policy_run const& run) { said.push_back(run.seed); });
    EXPECT_EQ(said, (std::vector<std::uint64_t>{1, 1, 1, 2, 2, 2}));
    return runs;
  };
  auto const one = all(1), many = all(3);
  ASSERT_EQ(one.size(), 6U);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].name, names[i % 3]);
    EXPECT_EQ(one[i].records, many[i].records);
    EXPECT_EQ(one[i].records.size(), 4U);
  }
  EXPECT_NE(one[0].records, one[3].records);
}

TEST(systems, pass_on_the_first_failure) {
  for (std::size_t const threads : {1U, 4U}) {
    std::size_t heard = 0;
    auto const train = [&] {
      return train_systems(
          two_ranks(), {"a", "b"}, 3, threads,
          [](training_setup const& own, std::string const& name) -> policy_run {
            if (own.seed == 2) throw std::runtime_error(name);
            return {.name = name};
          },
          [&](policy_run const&) { ++heard; });
    };
    EXPECT_THROW(static_cast<void>(train()), std::runtime_error);
    EXPECT_EQ(heard, 2U);
  }
}

TEST(systems, say_what_is_wrong) {
  options o;
  o.seeds = 2;
  EXPECT_EQ(why([&] { require_comparable(o); }), "nothing");
  o.engine = "gloo";
  EXPECT_EQ(why([&] { require_comparable(o); }),
            "--seeds: needs all ranks in one process: not --engine gloo");
  o.engine = "inline";
  o.failures = {{}};
  EXPECT_EQ(why([&] { require_comparable(o); }),
            "--seeds: compares runs that lose no rank: not with --kill");
  for (auto const* const text : {"0", "-1", "inf", "nan", "much", "1e999", "2 "})
    EXPECT_EQ(why([&] { static_cast<void>(parse_loss(text)); }),
              "--target-loss: \"" + std::string(text) + "\" is not a finite number above 0");
  EXPECT_EQ(parse_loss("0.5"), 0.5);
  EXPECT_FALSE(parse_loss(""));
}

}  // namespace
}  // namespace example::tests::adaptive_experts_systems_test
