#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/token_traffic.hpp"
#include "shunt/solve/assignment.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/near_sources.hpp"
#include "shunt/solve/experts/swift_moe.hpp"

namespace {

using shunt::expert_id;
using shunt::expert_layers;
using shunt::expert_placement;
using shunt::layer_id;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

/// One or two layers on up to six ranks, some dead, one or two or three nodes, with groups or
/// without; tokens of random sources. Loads divide by every number of replicas up to 6, if asked.
expert_layers random_problem(std::mt19937_64& random, bool divisible) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(1 + below(random, 7));
  auto const ranks = static_cast<std::int32_t>(2 + below(random, 5));
  auto const slots = 1 + below(random, 3);
  bool const equal = below(random, 2) == 0;
  for (std::int32_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 4)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  if (below(random, 2) == 0) {
    p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
    p.groups = static_cast<std::int32_t>(below(random, p.experts + 1));
  }
  p.loads.assign(static_cast<std::size_t>(p.layers * p.experts), 0);
  std::int64_t const unit = divisible ? 60 : 1;
  for (std::int32_t l = 0; l < p.layers; ++l)
    for (std::int32_t r = 0; r < ranks; ++r)
      for (std::int32_t e = 0; e < p.experts; ++e) {
        std::int64_t const count = below(random, 3) == 0 ? 0 : unit * below(random, 40);
        p.sources.push_back(count);
        p.loads[static_cast<std::size_t>(l * p.experts + e)] += count;
      }
  return p;
}

expert_placement random_plan(std::mt19937_64& random, expert_layers const& p) {
  auto plan = shunt::eplb{}(p).plan;
  if (plan.layers == 0) {
    auto free = p;
    free.groups = 0;
    plan = shunt::eplb{}(free).plan;
  }
  for (layer_id l : shunt::ids<layer_id>(p.layers)) {
    auto slots = plan.layer(l);
    for (std::size_t s = slots.size(); s > 1; --s)
      std::swap(slots[s - 1],
                slots[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(s)))]);
  }
  return plan;
}

/// Calls f with every dealing of rows to ranks: rows of as many slots, and whole nodes where
/// experts stand in groups.
template <class F>
void every_dealing(expert_layers const& p, F&& f) {
  std::vector<std::size_t> row(p.slots_per_rank.size());
  std::iota(row.begin(), row.end(), std::size_t{0});
  auto const node = [&](std::size_t r) {
    return p.groups > 0 && p.ranks_per_node > 0 ? r / static_cast<std::size_t>(p.ranks_per_node)
                                                : 0;
  };
  do {
    bool allowed = true;
    for (std::size_t r = 0; r < row.size(); ++r) {
      allowed = allowed && p.slots_per_rank[r] == p.slots_per_rank[row[r]];
      for (std::size_t q = 0; q < row.size(); ++q)
        allowed = allowed && (node(r) == node(q)) == (node(row[r]) == node(row[q]));
    }
    if (allowed) f(row);
  } while (std::next_permutation(row.begin(), row.end()));
}

expert_placement dealt(expert_placement const& plan, layer_id l,
                       std::vector<std::size_t> const& row) {
  auto copy = plan;
  for (std::size_t r = 0; r < row.size(); ++r)
    for (std::int32_t k = 0; k < plan.first_slot[r + 1] - plan.first_slot[r]; ++k)
      copy.layer(l)[static_cast<std::size_t>(plan.first_slot[r] + k)] =
          plan.layer(l)[static_cast<std::size_t>(plan.first_slot[row[r]] + k)];
  return copy;
}

std::vector<double> sorted_loads(expert_layers const& p, expert_placement const& plan, layer_id l) {
  auto loads = shunt::rank_loads(p.loads_of(l), plan, l).items();
  std::sort(loads.begin(), loads.end());
  return loads;
}

TEST(Assignment, EqualsEveryPermutation) {
  std::mt19937_64 random(31);
  shunt::assignment solver;
  for (int i = 0; i < 600; ++i) {
    auto const n = static_cast<std::size_t>(1 + below(random, 6));
    std::int64_t const range = std::int64_t{1} << (1 + below(random, 55));
    std::vector<std::int64_t> gains;
    for (std::size_t k = 0; k < n * n; ++k) gains.push_back(below(random, range) - range / 2);
    auto const column_of = solver(gains, n);
    std::vector<std::size_t> columns(column_of.begin(), column_of.end());
    auto const worth = [&](std::vector<std::size_t> const& c) {
      std::int64_t sum = 0;
      for (std::size_t r = 0; r < n; ++r) sum += gains[r * n + c[r]];
      return sum;
    };
    std::vector<std::size_t> every(n);
    std::iota(every.begin(), every.end(), std::size_t{0});
    EXPECT_TRUE(std::is_permutation(columns.begin(), columns.end(), every.begin(), every.end()));
    std::int64_t best = worth(every);
    while (std::next_permutation(every.begin(), every.end())) best = std::max(best, worth(every));
    EXPECT_EQ(worth(columns), best);
  }
}

TEST(Assignment, ByHandAndLarge) {
  shunt::assignment solver;
  std::vector<std::int64_t> const gains{7, 5, 3, 8, 6, 1, 9, 2, 2};
  auto const found = solver(gains, 3);
  EXPECT_EQ(std::vector<std::size_t>(found.begin(), found.end()),
            (std::vector<std::size_t>{2, 1, 0}));  // 3 + 6 + 9
  std::size_t const n = 200;
  std::vector<std::int64_t>
      product;  // best is the reverse of the reverse: equal order (rearrangement inequality)
  for (std::size_t r = 0; r < n; ++r)
    for (std::size_t c = 0; c < n; ++c)
      product.push_back(static_cast<std::int64_t>(r * (n - 1 - c)));
  auto const reversed = solver(product, n);
  for (std::size_t r = 0; r < n; ++r) EXPECT_EQ(reversed[r], n - 1 - r);
  std::vector<std::int64_t> const equal(16, 5);
  auto const still = solver(equal, 4);
  EXPECT_EQ(std::vector<std::size_t>(still.begin(), still.end()),
            (std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST(KeepRanks, MovesAreTheFewestOfAllDealings) {
  std::mt19937_64 random(32);
  int fewer = 0;
  for (int i = 0; i < 300; ++i) {
    auto p = random_problem(random, false);
    p.previous = random_plan(random, p).expert_of;
    auto const plan = random_plan(random, p);
    auto const kept = shunt::keep_ranks{}(p, plan);
    EXPECT_TRUE(shunt::check(p, kept.plan).empty());
    EXPECT_DOUBLE_EQ(kept.objective, shunt::mean_max_over_mean(p, plan));
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const before = sorted_loads(p, plan, l), after = sorted_loads(p, kept.plan, l);
      for (std::size_t r = 0; r < before.size(); ++r)
        EXPECT_NEAR(before[r], after[r], 1e-9 * (1 + before[r]));
      std::int32_t fewest = shunt::moved_experts(p.previous_of(l), plan, l);
      auto const unkept = fewest;
      every_dealing(p, [&](auto const& row) {
        fewest = std::min(fewest, shunt::moved_experts(p.previous_of(l), dealt(plan, l, row), l));
      });
      EXPECT_EQ(shunt::moved_experts(p.previous_of(l), kept.plan, l), fewest);
      fewer += fewest < unkept;
      // what stays on a rank keeps its slot: a rank's slot changes only where the old expert has no
      // replica left for it
      for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r)
        for (auto s = plan.first_slot[r]; s < plan.first_slot[r + 1]; ++s) {
          auto const old = p.previous_of(l)[static_cast<std::size_t>(s)];
          if (kept.plan.layer(l)[static_cast<std::size_t>(s)] == old) continue;
          int here = 0, in_place = 0;
          for (auto t = plan.first_slot[r]; t < plan.first_slot[r + 1]; ++t) {
            bool const holds = kept.plan.layer(l)[static_cast<std::size_t>(t)] == old;
            here += holds;
            in_place += holds && p.previous_of(l)[static_cast<std::size_t>(t)] == old;
          }
          EXPECT_EQ(here, in_place);
        }
    }
    EXPECT_EQ(shunt::keep_ranks{}(p, kept.plan).plan, kept.plan);
    p.previous = kept.plan.expert_of;
    EXPECT_EQ(shunt::keep_ranks{}(p, kept.plan).plan, kept.plan);
  }
  EXPECT_GT(fewer, 150);
}

TEST(KeepRanks, ComposesWithASolver) {
  // the same loads with the ranks' rows turned around: nothing needs to move
  expert_layers p{.layers = 1, .experts = 4, .loads = {70, 20, 6, 4}, .slots_per_rank = {2, 2, 2}};
  auto const fresh = shunt::eplb{}(p).plan;
  p.previous = dealt(fresh, 0, {2, 0, 1}).expert_of;
  EXPECT_GT(shunt::moved_experts(p.previous, fresh, 0), 0);
  auto const again = (shunt::eplb{} | shunt::keep_ranks{})(p);
  EXPECT_EQ(shunt::moved_experts(p.previous, again.plan, 0), 0);
  EXPECT_EQ(again.plan.expert_of, p.previous);
  EXPECT_EQ((decltype(shunt::eplb{} | shunt::keep_ranks{})::name), "eplb | keep_ranks");
  p.previous.clear();
  EXPECT_EQ((shunt::eplb{} | shunt::keep_ranks{})(p).plan, fresh);
  p.slots_per_rank = {1, 1, 1};
  EXPECT_EQ((shunt::eplb{} | shunt::keep_ranks{})(p).status, shunt::status::infeasible);
}

TEST(NearSources, KeepsTheMostTokensOfAllDealings) {
  std::mt19937_64 random(33);
  int more = 0;
  for (int i = 0; i < 200; ++i) {
    bool const divisible = i % 2 == 0;
    auto const p = random_problem(random, divisible);
    auto plan = random_plan(random, p);
    auto const near = shunt::near_sources{}(p, plan);
    EXPECT_TRUE(shunt::check(p, near.plan).empty());
    EXPECT_DOUBLE_EQ(near.objective, shunt::mean_max_over_mean(p, plan));
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      std::int64_t const before = shunt::local_tokens(p, plan, l),
                         after = shunt::local_tokens(p, near.plan, l);
      EXPECT_GE(after, before);
      more += after > before;
      std::int64_t best = before;
      every_dealing(p, [&](auto const& row) {
        best = std::max(best, shunt::local_tokens(p, dealt(plan, l, row), l));
      });
      auto const counts = shunt::replica_counts(plan, l);
      bool const exact =
          std::all_of(counts.begin(), counts.end(), [](auto c) { return c <= 6 && 60 % c == 0; });
      if (divisible && exact) {
        EXPECT_EQ(after, best);
      }
      EXPECT_LE(after, best);
    }
  }
  EXPECT_GT(more, 100);
  auto blind = random_problem(random, false);
  blind.sources.clear();
  auto const plan = shunt::swift_moe{}(blind).plan;
  EXPECT_EQ(shunt::near_sources{}(blind, plan).plan, plan);
}

TEST(TokenTraffic, IsThatOfTheLocalFirstSplit) {
  std::mt19937_64 random(34);
  for (int i = 0; i < 300; ++i) {
    auto const p = random_problem(random, false);
    auto const plan = random_plan(random, p);
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      std::vector<std::int64_t> counts;
      for (shunt::rank_id r : shunt::ids<shunt::rank_id>(p.ranks()))
        counts.insert(counts.end(), p.sources_of(l, r).begin(), p.sources_of(l, r).end());
      auto const split = shunt::capacity_split{}(shunt::routed(plan, l, counts)).plan;
      auto const found = shunt::traffic_of(split, plan, p.ranks_per_node);
      EXPECT_EQ(found.local, shunt::local_tokens(p, plan, l));
      std::int64_t total = 0, sent = 0;
      for (auto const load : p.loads_of(l)) total += load;
      EXPECT_EQ(found.local + found.remote(), total);
      EXPECT_LE(found.most_sent, found.remote());
      EXPECT_LE(found.most_received, found.remote());
      for (std::int32_t r = 0; r < p.ranks(); ++r) sent += found.most_sent;
      EXPECT_GE(sent, found.remote());
      auto const one_node = shunt::traffic_of(split, plan, 0),
                 each_alone = shunt::traffic_of(split, plan, 1);
      EXPECT_EQ(one_node.between_nodes, 0);
      EXPECT_EQ(each_alone.within_nodes, 0);
      EXPECT_EQ(one_node.within_nodes, each_alone.between_nodes);
    }
  }
}

TEST(TokenTraffic, ByHand) {
  // expert 0 on ranks 0 and 1, expert 1 on rank 2; rank 0 routed 6 tokens to 0, rank 2 routed 4 to
  // 0 and 2 to 1
  expert_layers const p{.layers = 1,
                        .experts = 2,
                        .loads = {10, 2},
                        .slots_per_rank = {1, 1, 1},
                        .ranks_per_node = 2,
                        .sources = {6, 0, 0, 0, 4, 2}};
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 2, 3}, .expert_of = {0, 0, 1}};
  validate(p);
  EXPECT_EQ(shunt::local_tokens(p, plan, 0), 5 + 2);
  auto const split = shunt::capacity_split{}(shunt::routed(plan, 0, p.sources)).plan;
  EXPECT_EQ(
      shunt::traffic_of(split, plan, 2),
      (shunt::token_traffic{
          .local = 7, .within_nodes = 1, .between_nodes = 4, .most_sent = 4, .most_received = 5}));
  // the rows turned around: expert 1 on rank 1, expert 0 on rank 2 as well
  auto const near = shunt::near_sources{}(p, plan);
  EXPECT_EQ(near.plan.expert_of, (std::vector<expert_id>{0, 1, 0}));
  EXPECT_EQ(shunt::local_tokens(p, near.plan, 0), 5 + 4);
}

}  // namespace
