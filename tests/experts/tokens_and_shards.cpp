#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/experts.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/symi_costs.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/shards/cut_shards.hpp"

namespace {

using shunt::expert_id;
using shunt::optimizer_state;
using shunt::rank_id;
using shunt::routed_tokens;
using shunt::shard;
using shunt::shard_map;
using shunt::slot_id;
using shunt::token_split;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

/// Slots hold any experts, some none at all; ranks may be without slots or tokens.
routed_tokens random_tokens(std::mt19937_64& random) {
  routed_tokens p;
  p.experts = static_cast<std::int32_t>(1 + below(random, 6));
  auto const ranks = 1 + below(random, 7);
  for (std::int64_t r = 0; r < ranks; ++r) {
    for (auto slots = below(random, 5); slots > 0; --slots)
      p.expert_of.push_back(below(random, p.experts));
    p.first_slot.push_back(p.slots());
  }
  auto const most = std::int64_t{1} << below(random, 12);
  for (std::int64_t i = 0; i < ranks * p.experts; ++i)
    p.counts.push_back(below(random, 3) == 0 ? 0 : below(random, most));
  p.capacity = below(random, most * ranks);
  return p;
}

std::string field_of(std::function<void()> const& call, std::string* text = nullptr) {
  try {
    call();
  } catch (shunt::invalid_problem const& e) {
    if (text) *text = e.what();
    return e.field();
  }
  return "nothing thrown";
}

TEST(CapacitySplit, KeepsItsLaws) {
  std::mt19937_64 random(1);
  int dropping = 0;
  for (int i = 0; i < 5000; ++i) {
    auto const p = random_tokens(random);
    auto const answer = shunt::solve(p, shunt::capacity_split{});
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::split_violation>{}) << "case " << i;
    auto const& plan = answer.plan;
    std::int64_t all_dropped = 0;
    for (std::int32_t e = 0; e < p.experts; ++e) {
      std::vector<std::int32_t> hosted;
      for (std::int32_t s = 0; s < p.slots(); ++s)
        if (p.expert_of[static_cast<std::size_t>(s)] == expert_id{e}) hosted.push_back(s);
      std::int64_t total = 0, dropped = 0, most = 0,
                   least = std::numeric_limits<std::int64_t>::max();
      for (std::int32_t r = 0; r < p.ranks(); ++r) {
        total += p.count(r, e);
        dropped += plan.drops(r, e);
      }
      all_dropped += dropped;
      std::vector<std::int64_t> loads;
      for (auto const s : hosted) {
        std::int64_t load = 0;
        for (std::int32_t r = 0; r < p.ranks(); ++r) load += plan.sent(r, s);
        loads.push_back(load);
        most = std::max(most, load);
        least = std::min(least, load);
      }
      if (!hosted.empty()) {
        EXPECT_LE(most - least, 1);  // replicas share evenly
      }
      for (std::int32_t r = 0; r < p.ranks(); ++r) {
        // a source drops its share, to within one token
        EXPECT_LE(std::abs(plan.drops(r, e) * total - dropped * p.count(r, e)), total);
        // its own slots come first: it sends to others only if they are full of its own tokens
        std::int64_t away = 0, room = 0;
        for (std::size_t k = 0; k < hosted.size(); ++k) {
          auto const s = static_cast<std::size_t>(hosted[k]);
          bool const local = hosted[k] >= p.first_slot[static_cast<std::size_t>(r)] &&
                             hosted[k] < p.first_slot[static_cast<std::size_t>(r) + 1];
          if (local)
            room += loads[k] - plan.sent(r, s);
          else
            away += plan.sent(r, s);
        }
        EXPECT_TRUE(away == 0 || room == 0);
      }
    }
    EXPECT_EQ(answer.objective, static_cast<double>(all_dropped));
    EXPECT_EQ(answer.status, shunt::status::optimal);
    dropping += all_dropped > 0;
  }
  EXPECT_GT(dropping, 1000);
}

TEST(CapacitySplit, DropsWhatTheMeasureForetells) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 500; ++i) {
    std::int32_t const ranks = static_cast<std::int32_t>(1 + below(random, 8)),
                       experts = static_cast<std::int32_t>(1 + below(random, 2 * ranks));
    shunt::expert_layers layers{.experts = experts,
                                .loads = {},
                                .slots_per_rank =
                                    std::vector<std::int32_t>(static_cast<std::size_t>(ranks), 2)};
    std::vector<std::int64_t> counts, before, now(static_cast<std::size_t>(experts), 0);
    for (std::int32_t c = 0; c < ranks * experts; ++c) {
      counts.push_back(below(random, 1 + below(random, 100)));
      now[static_cast<std::size_t>(c % experts)] += counts.back();
    }
    for (std::int32_t e = 0; e < experts; ++e) layers.loads.push_back(below(random, 100));
    auto const placement = shunt::swift_moe{}(layers).plan;
    std::int64_t total = 0;
    for (auto const n : now) total += n;
    auto const capacity =
        shunt::slot_capacity(total, layers.slots(), {.numerator = 5, .denominator = 4});
    auto const answer = shunt::capacity_split{}(shunt::routed(placement, 0, counts, capacity));
    EXPECT_EQ(answer.objective,
              static_cast<double>(shunt::drops_under_capacity(now, placement, 0, capacity)));
    EXPECT_EQ(shunt::capacity_split{}(shunt::routed(placement, 0, counts)).objective, 0);
  }
}

TEST(CapacitySplit, GoldenCase) {
  // expert 0 has slots 0 and 1 on rank 0 and slot 2 on rank 1, expert 1 has slot 3 on rank 1; rank
  // 2 has none
  routed_tokens const p{.experts = 2,
                        .counts = {10, 1, 2, 0, 6, 9},
                        .first_slot = {0, 2, 4, 4},
                        .expert_of = {0, 0, 0, 1},
                        .capacity = 5};
  auto const plan = shunt::capacity_split{}(p).plan;
  // expert 0: 18 tokens, 15 kept; 3 dropped: floors of 3 * 10/18, 12/18, 18/18 are 1, 2, 3
  // expert 1: 10 tokens, 5 kept; 5 dropped: floors of 5 * 1/10, 1/10, 10/10 are 0, 0, 5
  EXPECT_EQ(plan.dropped, (std::vector<std::int64_t>{1, 0, 1, 0, 1, 5}));
  EXPECT_EQ(plan.tokens, (std::vector<std::int64_t>{5, 4, 0, 1, 0, 0, 1, 0, 0, 1, 4, 4}));
}

TEST(CapacitySplit, SingleTokensOfManySourcesSpreadOut) {
  // 16 ranks with one token each, one with 160, none of them with a slot; 8 ranks have one each
  routed_tokens p{.experts = 1,
                  .counts = std::vector<std::int64_t>(25, 0),
                  .first_slot = {0},
                  .expert_of = std::vector<expert_id>(8, 0)};
  for (std::int32_t r = 0; r < 25; ++r) {
    p.counts[static_cast<std::size_t>(r)] = r < 16 ? 1 : r == 16 ? 160 : 0;
    p.first_slot.push_back(std::max(0, r - 16));
  }
  auto const plan = shunt::capacity_split{}(p).plan;
  EXPECT_TRUE(shunt::check(p, plan).empty());
  for (std::int32_t s = 0; s < 8; ++s) {
    std::int64_t single = 0;
    for (std::int32_t r = 0; r < 16; ++r) single += plan.sent(r, s);
    EXPECT_LE(single, 4) << "slot " << s;
  }
}

TEST(CapacitySplit, LargeCountsStayExact) {
  std::int64_t const half = (std::int64_t{1} << 30) - 1;
  routed_tokens p{
      .experts = 1, .counts = {half, 0, half}, .first_slot = {0, 1, 3, 3}, .expert_of = {0, 0, 0}};
  EXPECT_TRUE(shunt::check(p, shunt::capacity_split{}(p).plan).empty());
  p.capacity = half / 3;
  EXPECT_TRUE(shunt::check(p, shunt::capacity_split{}(p).plan).empty());
  p.capacity = 0;
  auto const none = shunt::capacity_split{}(p);
  EXPECT_TRUE(shunt::check(p, none.plan).empty());
  EXPECT_EQ(none.objective, static_cast<double>(2 * half));
}

TEST(CapacitySplit, AnExpertWithoutASlot) {
  routed_tokens p{
      .experts = 2, .counts = {3, 4}, .first_slot = {0, 1}, .expert_of = {0}, .capacity = 10};
  EXPECT_EQ(shunt::capacity_split{}(p).objective, 4);
  p.capacity = shunt::dropless;
  auto const answer = shunt::capacity_split{}(p);
  EXPECT_EQ(answer.status, shunt::status::infeasible);
  EXPECT_EQ(answer.reason, "expert_of: expert 1 has 4 tokens and no slot");
  p.counts = {3, 0};
  EXPECT_EQ(shunt::capacity_split{}(p).status, shunt::status::optimal);
}

TEST(SlotCapacity, RoundsUp) {
  EXPECT_EQ(shunt::slot_capacity(4096, 64), 64);
  EXPECT_EQ(shunt::slot_capacity(4097, 64), 65);
  EXPECT_EQ(shunt::slot_capacity(100, 8, {.numerator = 5, .denominator = 4}), 16);  // 15.625
  EXPECT_EQ(shunt::slot_capacity(0, 8), 0);
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(-1, 8); }), "tokens");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 0); }), "slots");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 1, {.numerator = -1}); }), "numerator");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 1, {.denominator = 0}); }), "denominator");
  EXPECT_EQ(field_of([] {
              (void)shunt::slot_capacity(std::numeric_limits<std::int64_t>::max(), 1,
                                         {.numerator = 2});
            }),
            "tokens");
}

TEST(BadRoutedTokens, AreNamed) {
  routed_tokens const good{
      .experts = 2, .counts = {1, 2, 3, 4}, .first_slot = {0, 1, 2}, .expert_of = {0, 1}};
  auto const solved = [](routed_tokens const& p) {
    return [p] { (void)shunt::capacity_split{}(p); };
  };
  EXPECT_EQ(field_of(solved(good)), "nothing thrown");
  auto bad = good;
  bad.experts = 0;
  EXPECT_EQ(field_of(solved(bad)), "experts");
  bad = good;
  bad.first_slot = {0};
  EXPECT_EQ(field_of(solved(bad)), "first_slot");
  bad.first_slot = {};
  EXPECT_EQ(field_of(solved(bad)), "first_slot");
  bad.first_slot = {1, 1, 2};
  EXPECT_EQ(field_of(solved(bad)), "first_slot[0]");
  bad.first_slot = {0, 3, 2};
  EXPECT_EQ(field_of(solved(bad)), "first_slot[2]");
  bad = good;
  bad.expert_of.push_back(0);
  EXPECT_EQ(field_of(solved(bad)), "expert_of");
  bad = good;
  bad.expert_of[1] = 2;
  std::string text;
  EXPECT_EQ(field_of(solved(bad), &text), "expert_of[1]");
  EXPECT_EQ(text, "expert_of[1]: must be an expert below 2, is 2");
  bad = good;
  bad.counts.pop_back();
  EXPECT_EQ(field_of(solved(bad)), "counts");
  bad = good;
  bad.counts[2] = -1;
  EXPECT_EQ(field_of(solved(bad)), "counts[1][0]");
  bad = good;
  bad.counts = {1 << 30, 0, 1 << 30, 0};
  EXPECT_EQ(field_of(solved(bad), &text), "counts");
  EXPECT_EQ(text, "counts: expert 0 has 2^31 tokens or more");
  bad = good;
  bad.capacity = -1;
  EXPECT_EQ(field_of(solved(bad)), "capacity");
}

TEST(CheckTokenSplit, FindsWhatIsWrong) {
  using kind = shunt::split_violation::kind;
  routed_tokens const p{.experts = 2,
                        .counts = {4, 1, 2, 2},
                        .first_slot = {0, 2, 3},
                        .expert_of = {0, 0, 1},
                        .capacity = 3};
  token_split const good{.sources = 2,
                         .slots = 3,
                         .experts = 2,
                         .tokens = {2, 2, 1, 1, 1, 2},
                         .dropped = {0, 0, 0, 0}};
  EXPECT_TRUE(shunt::check(p, good).empty());
  auto bad = good;
  bad.sent(0, 0) = 1;
  EXPECT_EQ(shunt::check(p, bad),
            (std::vector<shunt::split_violation>{
                {.what = kind::not_conserved, .source = 0, .expert = 0, .found = 3, .wanted = 4}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "source 0, expert 0, sent and dropped: found 3, wanted 4");
  bad.drops(0, 0) = 1;
  EXPECT_EQ(
      shunt::check(p, bad),
      (std::vector<shunt::split_violation>{
          {.what = kind::dropped_with_room, .slot = 0, .expert = 0, .found = 2, .wanted = 3}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "expert 0 drops tokens while slot 0 has room: found 2, wanted 3");
  bad = good;
  bad.sent(1, 0) = 2;
  bad.sent(1, 1) = 0;
  EXPECT_EQ(shunt::check(p, bad),
            (std::vector<shunt::split_violation>{
                {.what = kind::over_capacity, .slot = 0, .found = 4, .wanted = 3}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "slot 0, tokens: found 4, wanted 3");
  bad = good;
  bad.sent(1, 0) = 3;
  bad.sent(1, 1) = -1;
  EXPECT_EQ(shunt::check(p, bad)[0],
            (shunt::split_violation{.what = kind::negative, .source = 1, .slot = 1, .found = -1}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "source 1, slot 1: found -1, wanted 0");
  bad = good;
  bad.drops(0, 1) = -1;
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "source 0, dropped of expert 1: found -1, wanted 0");
  bad = good;
  bad.tokens.pop_back();
  ASSERT_EQ(shunt::check(p, bad).size(), 1u);
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "shape: found 5, wanted 6");
  EXPECT_EQ(shunt::check(p, token_split{}).size(), 5u);
}

TEST(UniformShards, CoverEveryExpertAndBalanceTheRanks) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    optimizer_state const p{.experts = static_cast<std::int32_t>(1 + below(random, 10)),
                            .ranks = static_cast<std::int32_t>(1 + below(random, 12)),
                            .elements = 1 + below(random, 60)};
    auto const answer = shunt::solve(p, shunt::uniform_shards{});
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::shard_violation>{});
    std::vector<std::int64_t> owned(static_cast<std::size_t>(p.ranks), 0);
    for (auto const& shards : answer.plan.shards) {
      EXPECT_EQ(static_cast<std::int64_t>(shards.size()),
                std::min<std::int64_t>(p.ranks, p.elements));
      for (auto const& s : shards) {
        owned[s.owner.index()] += s.size();
        EXPECT_LE(s.size(), p.elements / p.ranks + 1);
      }
      EXPECT_TRUE(std::is_sorted(shards.begin(), shards.end(),
                                 [](shard const& a, shard const& b) { return a.owner < b.owner; }));
    }
    auto const most = *std::max_element(owned.begin(), owned.end());
    EXPECT_LE(most - *std::min_element(owned.begin(), owned.end()), 1);
    EXPECT_EQ(answer.objective, static_cast<double>(most * p.state_bytes));
    EXPECT_EQ(answer.lower_bound, answer.objective);
    EXPECT_EQ(answer.status, shunt::status::optimal);
  }
}

TEST(UniformShards, ShardKLiesOnRankKWhereSizesDivide) {
  auto const plan = shunt::uniform_shards{}({.experts = 2, .ranks = 3, .elements = 6}).plan;
  std::vector<shard> const cut{{0, 0, 2}, {1, 2, 4}, {2, 4, 6}};
  EXPECT_EQ(plan.shards[0], cut);
  EXPECT_EQ(plan.shards[1], cut);
  auto const uneven = shunt::uniform_shards{}({.experts = 2, .ranks = 3, .elements = 4}).plan;
  EXPECT_EQ(uneven.shards[0], (std::vector<shard>{{0, 0, 2}, {1, 2, 3}, {2, 3, 4}}));
  EXPECT_EQ(uneven.shards[1], (std::vector<shard>{{0, 0, 1}, {1, 1, 3}, {2, 3, 4}}));
}

TEST(BadOptimizerState, IsNamed) {
  auto const solved = [](optimizer_state const& p) {
    return [p] { (void)shunt::uniform_shards{}(p); };
  };
  EXPECT_EQ(field_of(solved({})), "nothing thrown");
  EXPECT_EQ(field_of(solved({.experts = 0})), "experts");
  EXPECT_EQ(field_of(solved({.ranks = -1})), "ranks");
  EXPECT_EQ(field_of(solved({.elements = 0})), "elements");
  EXPECT_EQ(field_of(solved({.gradient_bytes = 0})), "gradient_bytes");
  EXPECT_EQ(field_of(solved({.weight_bytes = -4})), "weight_bytes");
  std::string text;
  EXPECT_EQ(field_of(solved({.state_bytes = 0}), &text), "state_bytes");
  EXPECT_EQ(text, "state_bytes: must be at least 1, is 0");
  EXPECT_EQ(
      field_of(solved({.experts = 2, .elements = std::numeric_limits<std::int64_t>::max() / 2})),
      "elements");
}

TEST(CheckShardMap, FindsWhatIsWrong) {
  using kind = shunt::shard_violation::kind;
  optimizer_state const p{.experts = 1, .ranks = 2, .elements = 10};
  auto const found = [&](std::vector<shard> shards) {
    std::vector<kind> kinds;
    for (auto const& v : shunt::check(p, shard_map{.elements = 10, .shards = {std::move(shards)}}))
      kinds.push_back(v.what);
    return kinds;
  };
  using kinds = std::vector<kind>;
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 10}}), kinds{});
  EXPECT_EQ(found({{0, 0, 4}, {2, 4, 10}}), kinds{kind::unknown_owner});
  EXPECT_EQ(found({{0, 0, 4}, {1, 5, 10}}), kinds{kind::gap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 3, 10}}), kinds{kind::overlap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 9}}), kinds{kind::gap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 11}}), kinds{kind::overlap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 4}, {1, 4, 10}}), kinds{kind::empty_shard});
  EXPECT_EQ(found({{1, 4, 10}, {0, 0, 4}}), (kinds{kind::gap, kind::overlap, kind::gap}));
  EXPECT_EQ(found({}), kinds{kind::gap});
  auto const gap = shunt::check(p, shard_map{.elements = 10, .shards = {{{0, 0, 4}, {1, 5, 10}}}});
  EXPECT_EQ(to_string(gap.at(0)),
            "expert 0, shard 1, elements left out before it: found 5, wanted 4");
  auto const empty = shunt::check(p, shard_map{});
  ASSERT_EQ(empty.size(), 2u);
  EXPECT_EQ(to_string(empty[0]), "elements: found 0, wanted 10");
  EXPECT_EQ(to_string(empty[1]), "experts: found 0, wanted 1");
}

TEST(Traffic, FormulasOfThePapersExample) {
  // GPT3-175B: G = W = 3.375 GB, O = 27 GB, E = 64, s = 2, N = 2048, 64 GB/s to the host, 50 GB/s
  // between nodes
  shunt::expert_traffic const t{.ranks = 2048,
                                .slots_per_rank = 2,
                                .experts = 64,
                                .gradient_bytes = 3.375,
                                .weight_bytes = 3.375,
                                .state_bytes = 27,
                                .network_bandwidth = 50,
                                .host_bandwidth = 64};
  EXPECT_EQ(t.gradient_volume() + t.weight_volume(), 27.0 * 1024);  // 27 TB
  EXPECT_NEAR(t.static_time(3.375) * 2, 0.26908, 5e-6);
  EXPECT_NEAR(t.decoupled_time(3.375) * 2, 0.27316, 5e-6);
  EXPECT_NEAR(t.overhead(), 0.015189, 5e-7);
  EXPECT_NEAR(t.overhead(), t.decoupled_time(1) / t.static_time(1) - 1, 1e-12);
  EXPECT_EQ(t.state_per_rank() * 2048, 64 * 27);
  auto in_device_memory = t;
  in_device_memory.host_bandwidth = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(in_device_memory.overhead(), 0.015377, 5e-7);
  EXPECT_NEAR(in_device_memory.overhead(),
              in_device_memory.decoupled_time(1) / in_device_memory.static_time(1) - 1, 1e-12);
  shunt::expert_traffic const testbed{.ranks = 16,
                                      .slots_per_rank = 4,
                                      .experts = 16,
                                      .network_bandwidth = 12.5,
                                      .host_bandwidth = 32};
  EXPECT_NEAR(testbed.overhead(), 0.22, 0.005);
  shunt::expert_traffic one_box{
      .ranks = 8, .slots_per_rank = 2, .experts = 8, .network_bandwidth = 50, .host_bandwidth = 64};
  EXPECT_NEAR(one_box.overhead(), 0.42, 0.005);
  one_box.host_bandwidth = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(one_box.overhead(), 0.75, 1e-12);
}

TEST(Traffic, IntervalGroups) {
  EXPECT_EQ(shunt::interval_groups(8), 28);
  EXPECT_EQ(shunt::interval_groups(16), 120);
  EXPECT_EQ(shunt::interval_groups(64), 2016);
  EXPECT_EQ(shunt::interval_groups(2048), 2096128);
}

}  // namespace
