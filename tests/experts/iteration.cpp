#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/token_split.hpp"
#include "shunt/lower/rank_scatter.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/swift_moe_iteration.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"

namespace {

using shunt::expert_id;
using shunt::expert_placement;
using shunt::layer_id;
using shunt::optimizer_state;
using shunt::rank_id;
using shunt::routed_tokens;
using shunt::shard_map;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

std::string thrown_by(std::function<void()> const& call) {
  try {
    call();
  } catch (shunt::invalid_problem const& e) {
    return e.what();
  }
  return "nothing thrown";
}

/// Unequal ranks, some of them dead, with a slot for every expert at least.
std::vector<std::int32_t> random_ranks(std::mt19937_64& random, std::int32_t ranks,
                                       std::int32_t experts) {
  std::vector<std::int32_t> slots;
  for (std::int32_t r = 0; r < ranks; ++r)
    slots.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (std::accumulate(slots.begin(), slots.end(), 0) < experts)
    ++slots[static_cast<std::size_t>(below(random, ranks))];
  return slots;
}

/// In SwiftMoE's order, or in none at all.
expert_placement random_placement(std::mt19937_64& random, std::int32_t layers,
                                  std::int32_t experts, std::vector<std::int32_t> const& slots) {
  shunt::expert_layers p{
      .layers = layers, .experts = experts, .loads = {}, .slots_per_rank = slots};
  for (std::int32_t i = 0; i < layers * experts; ++i)
    p.loads.push_back(below(random, 1 + below(random, 100)));
  auto plan = shunt::swift_moe{}(p).plan;
  for (layer_id l : shunt::ids<layer_id>(layers))
    if (below(random, 2) == 0) {
      auto const row = plan.layer(l);
      for (std::size_t i = row.size(); i > 1; --i)
        std::swap(row[i - 1],
                  row[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(i)))]);
    }
  return plan;
}

shard_map random_shards(std::mt19937_64& random, optimizer_state const& state) {
  auto map = shunt::uniform_shards{}(state).plan;
  if (below(random, 2) == 0) return map;
  for (auto& shards : map.shards) {  // any cut, any owners, some of them twice
    shards.clear();
    for (std::int64_t begin = 0; begin < state.elements;) {
      auto const end = std::min(state.elements, begin + 1 + below(random, 5));
      shards.push_back({.owner = below(random, state.ranks), .begin = begin, .end = end});
      begin = end;
    }
  }
  return map;
}

TEST(RankScatter, ListsOfAllRanksAreTheWeightScatter) {
  std::mt19937_64 random(31);
  for (int i = 0; i < 300; ++i) {
    optimizer_state const state{.experts = static_cast<std::int32_t>(1 + below(random, 6)),
                                .ranks = static_cast<std::int32_t>(1 + below(random, 6)),
                                .elements = 1 + below(random, 20),
                                .weight_bytes = static_cast<std::int32_t>(1 + below(random, 8))};
    auto const slots = random_ranks(random, state.ranks, state.experts);
    auto const layers = static_cast<std::int32_t>(1 + below(random, 3));
    auto const map = random_shards(random, state);
    shunt::weight_scatter const how{.deduplicate = below(random, 3) > 0,
                                    .channel = static_cast<std::int32_t>(below(random, 3)),
                                    .batch = static_cast<std::int32_t>(below(random, 3))};
    auto const shape = random_placement(random, layers, state.experts, slots);
    std::vector<shunt::rank_scatter> ranks;
    for (rank_id r : shunt::ids<rank_id>(state.ranks))
      ranks.emplace_back(state, map, shape.first_slot, layers, r, how);
    for (int iteration = 0; iteration < 3;
         ++iteration) {  // the second list is written over the first
      auto const next = random_placement(random, layers, state.experts, slots);
      auto const wanted = lower(state, next, map, how);
      shunt::program together;
      for (auto& r : ranks) together.ranks.push_back(r(next));
      ASSERT_EQ(together, wanted) << "case " << i;
      ASSERT_TRUE(shunt::check(together).empty()) << "case " << i;
    }
  }
}

TEST(RankScatter, RefusesWhatDoesNotFit) {
  optimizer_state const state{.experts = 2, .ranks = 2, .elements = 4};
  auto const map = shunt::uniform_shards{}(state).plan;
  std::vector<std::int32_t> const first_slot{0, 1, 3};
  auto const made = [&](rank_id self, std::int32_t layers, std::vector<std::int32_t> const& slots) {
    return thrown_by([&] { shunt::rank_scatter(state, map, slots, layers, self); });
  };
  EXPECT_EQ(made(0, 1, first_slot), "nothing thrown");
  EXPECT_EQ(made(2, 1, first_slot), "self: must be below 2, is 2");
  EXPECT_EQ(made(0, 0, first_slot), "layer: must be below 0, is 0");
  EXPECT_EQ(made(0, 1, {0, 1}), "placement.ranks: must be the optimizer state's 2, is 1");
  shunt::rank_scatter scatter(state, map, first_slot, 1, 1);
  expert_placement next{.layers = 1, .experts = 2, .first_slot = {0, 2, 3}, .expert_of = {0, 1, 1}};
  EXPECT_EQ(thrown_by([&] { scatter(next); }),
            "placement: isn't of the shape that this list was made for");
  next.first_slot = first_slot;
  EXPECT_EQ(scatter(next).buffers.size(), 2u);
}

/// What of `rest` may go to a slot with `room` of `all`: no less than its share, rounded down, less
/// one.
TEST(CapacitySplit, SharesOutTheRestInProportionToTheRoomLeft) {
  std::mt19937_64 random(32);
  for (int i = 0; i < 2000; ++i) {
    auto const experts = static_cast<std::int32_t>(1 + below(random, 5)),
               ranks = static_cast<std::int32_t>(1 + below(random, 12));
    auto const placement =
        random_placement(random, 1, experts, random_ranks(random, ranks, experts));
    std::vector<std::int64_t> counts;
    auto const most = std::int64_t{1} << below(random, 28);
    for (std::int32_t c = 0; c < ranks * experts; ++c) counts.push_back(below(random, most));
    auto const p =
        shunt::routed(placement, 0, counts,
                      below(random, 2) == 0 ? shunt::dropless : below(random, most * ranks));
    auto const plan = shunt::capacity_split{}(p).plan;
    ASSERT_TRUE(shunt::check(p, plan).empty()) << "case " << i;
    for (std::int32_t e = 0; e < experts; ++e) {
      // what is left of every source and slot once a rank's own slots are served
      std::vector<std::int64_t> rest, room(p.expert_of.size(), 0);
      std::int64_t all = 0;
      for (std::int32_t r = 0; r < ranks; ++r) rest.push_back(p.count(r, e) - plan.drops(r, e));
      for (std::size_t s = 0; s < room.size(); ++s) {
        if (p.expert_of[s] != expert_id{e}) continue;
        auto const home = placement.rank_of(s);
        for (std::int32_t r = 0; r < ranks; ++r) room[s] += plan.sent(r, s);
        auto const own = std::min(rest[home.index()], room[s]);
        rest[home.index()] -= own;
        room[s] -= own;
        all += room[s];
      }
      for (std::size_t s = 0; s < room.size(); ++s)
        for (std::int32_t r = 0; r < ranks && all > 0; ++r) {
          if (p.expert_of[s] != expert_id{e} || placement.rank_of(s) == rank_id{r}) continue;
          ASSERT_GE(plan.sent(r, s), rest[static_cast<std::size_t>(r)] * room[s] / all - 1)
              << "case " << i;
        }
    }
  }
}

/// All ways to send one expert's tokens: each(sent) for every table sources x slots whose rows
/// don't exceed the counts.
void each_split(std::vector<std::int64_t> left, std::size_t slots, std::size_t at,
                std::vector<std::int64_t>& sent, auto const& each) {
  if (at == sent.size()) return each(sent);
  for (sent[at] = 0; sent[at] <= left[at / slots]; ++sent[at]) {
    auto fewer = left;
    fewer[at / slots] -= sent[at];
    each_split(std::move(fewer), slots, at + 1, sent, each);
  }
}

TEST(CapacitySplit, NoSplitDropsLessOrKeepsMoreAtHome) {
  std::mt19937_64 random(33);
  int dropping = 0, travelling = 0;
  for (int i = 0; i < 400; ++i) {
    bool const wide = below(random, 2) == 0;
    std::size_t const ranks = wide ? 2 : 3, slots = wide ? 3 : 2;
    routed_tokens p{.experts = 1,
                    .counts = {},
                    .first_slot = {0},
                    .expert_of = std::vector<expert_id>(slots, 0),
                    .capacity = below(random, 5)};
    for (std::size_t r = 0; r < ranks; ++r) {
      p.counts.push_back(below(random, 4));
      auto const free = static_cast<std::int32_t>(slots) - p.first_slot.back();
      p.first_slot.push_back(r + 1 == ranks ? static_cast<std::int32_t>(slots)
                                            : p.first_slot.back() + static_cast<std::int32_t>(
                                                                        below(random, free + 1)));
    }
    auto const plan = shunt::capacity_split{}(p).plan;
    ASSERT_TRUE(shunt::check(p, plan).empty());
    auto const at_home = [&](std::vector<std::int64_t> const& sent) {
      std::int64_t sum = 0;
      for (std::size_t r = 0; r < ranks; ++r)
        for (auto s = p.first_slot[r]; s < p.first_slot[r + 1]; ++s)
          sum += sent[r * slots + static_cast<std::size_t>(s)];
      return sum;
    };
    auto const sum_of = [&](std::vector<std::int64_t> const& sent, std::size_t first,
                            std::size_t step, std::size_t n) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < n; ++k) sum += sent[first + k * step];
      return sum;
    };
    std::int64_t most = 0, home = 0;
    std::vector<std::int64_t> table(ranks * slots, 0);
    each_split(p.counts, slots, 0, table, [&](std::vector<std::int64_t> const& sent) {
      bool same = true;  // as the plan: what every slot takes, what every source drops
      for (std::size_t s = 0; s < slots; ++s) {
        auto const load = sum_of(sent, s, slots, ranks);
        if (load > p.capacity) return;
        same = same && load == sum_of(plan.tokens, s, slots, ranks);
      }
      for (std::size_t r = 0; r < ranks; ++r)
        same =
            same && sum_of(sent, r * slots, 1, slots) == sum_of(plan.tokens, r * slots, 1, slots);
      most = std::max(most, sum_of(sent, 0, 1, sent.size()));
      if (same) home = std::max(home, at_home(sent));
    });
    auto const kept = sum_of(plan.tokens, 0, 1, plan.tokens.size());
    ASSERT_EQ(kept, most) << "case " << i;
    ASSERT_EQ(at_home(plan.tokens), home) << "case " << i;
    dropping += kept < sum_of(p.counts, 0, 1, ranks);
    travelling += at_home(plan.tokens) < kept;
  }
  EXPECT_GT(dropping, 50);
  EXPECT_GT(travelling, 50);
}

TEST(SwiftMoeIteration, DecidesWhatTheSolversDecide) {
  std::mt19937_64 random(34);
  for (int i = 0; i < 200; ++i) {
    auto const layers = static_cast<std::int32_t>(1 + below(random, 4)),
               experts = static_cast<std::int32_t>(1 + below(random, 7)),
               ranks = static_cast<std::int32_t>(1 + below(random, 17));
    auto const slots = random_ranks(random, ranks, experts);
    auto now = random_placement(random, layers, experts, slots);
    auto const capacity = below(random, 2) == 0 ? shunt::dropless : below(random, 200);
    shunt::swift_moe_iteration iteration(now, capacity);
    std::vector<std::int64_t const*> memory;
    for (int t = 0; t < 4; ++t) {
      std::vector<std::int64_t> counts;
      auto const one_has_all = below(random, 5) == 0;
      for (std::int32_t c = 0; c < layers * ranks * experts; ++c)
        counts.push_back(one_has_all && c % experts != 0 ? 0
                                                         : below(random, 1 + below(random, 200)));
      iteration(counts);
      shunt::expert_layers next{
          .layers = layers,
          .experts = experts,
          .loads = std::vector<std::int64_t>(static_cast<std::size_t>(layers * experts), 0),
          .slots_per_rank = slots};
      auto const width = static_cast<std::size_t>(ranks * experts);
      for (std::size_t c = 0; c < counts.size(); ++c)
        next.loads[c / width * static_cast<std::size_t>(experts) +
                   c % static_cast<std::size_t>(experts)] += counts[c];
      for (layer_id l : shunt::ids<layer_id>(layers)) {
        auto const first = counts.begin() + static_cast<std::ptrdiff_t>(l.index() * width);
        auto const p =
            shunt::routed(now, l, {first, first + static_cast<std::ptrdiff_t>(width)}, capacity);
        ASSERT_TRUE(shunt::check(p, iteration.splits()[l.index()]).empty()) << "case " << i;
        ASSERT_EQ(iteration.splits()[l.index()], shunt::capacity_split{}(p).plan) << "case " << i;
        auto const* const at = iteration.splits()[l.index()].tokens.data();
        if (t == 0)
          memory.push_back(at);
        else
          ASSERT_EQ(at, memory[l.index()]);  // no new memory
      }
      now = shunt::swift_moe{}(next).plan;
      ASSERT_EQ(iteration.placement(), now) << "case " << i;
    }
  }
}

TEST(SwiftMoeIteration, NamesWhatIsWrong) {
  expert_placement const good{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 3}, .expert_of = {0, 1, 1}};
  auto const made = [](expert_placement const& p, std::int64_t capacity) {
    return thrown_by([&] { shunt::swift_moe_iteration made_for(p, capacity); });
  };
  EXPECT_EQ(made(good, 0), "nothing thrown");
  EXPECT_EQ(made(good, -1), "capacity: must be at least 0, is -1");
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(made(bad, 0), "placement.layers: must be at least 1, is 0");
  bad = good;
  bad.experts = -3;
  EXPECT_EQ(made(bad, 0), "placement.experts: must be at least 1, is -3");
  bad = good;
  bad.first_slot = {};
  EXPECT_EQ(made(bad, 0), "placement.first_slot: names no rank");
  bad = good;
  bad.expert_of = {0, 0, 0};
  EXPECT_EQ(made(bad, 0), "placement[0]: expert 1 has no slot");
  bad.expert_of = {0, 1};
  EXPECT_EQ(made(bad, 0), "placement.expert_of: has 2 values for 1 layers x 3 slots");
  bad.expert_of = {0, 1, 2};
  EXPECT_EQ(made(bad, 0), "expert_of[2]: must be an expert below 2, is 2");

  shunt::swift_moe_iteration iteration(good);
  auto const given = [&](std::vector<std::int64_t> const& counts) {
    return thrown_by([&] { iteration(counts); });
  };
  EXPECT_EQ(given({1, 2, 3}), "counts: has 3 values for 1 layers x 2 ranks x 2 experts");
  EXPECT_EQ(given({1, 2, -3, 4}), "counts[0][1][0]: must be at least 0 and below 2^31, is -3");
  EXPECT_EQ(given({1, std::int64_t{1} << 30, 0, std::int64_t{1} << 30}),
            "counts[0]: expert 1 has 2^31 tokens or more");
  EXPECT_EQ(iteration.placement(), good);
  EXPECT_EQ(given({1, std::int64_t{1} << 30, 0, 4}), "nothing thrown");
  EXPECT_EQ(iteration.splits()[0].sent(0, 1),
            (std::int64_t{1} << 29) - 2);  // rank 1 fills its first slot with its own four
}

}  // namespace
