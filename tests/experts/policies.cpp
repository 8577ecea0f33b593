#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/received_experts.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/measure/survival.hpp"
#include "shunt/plan/physical_map.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
#include "shunt/solve/experts/shadow.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"

namespace {

using shunt::expert_id;
using shunt::expert_layers;
using shunt::expert_placement;
using shunt::layer_id;
using shunt::load_series;
using loads_list = std::vector<std::int64_t>;
using counts_list = std::vector<std::int32_t>;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

std::int64_t any_load(std::mt19937_64& random, std::int64_t shape) {
  if (shape == 0) return below(random, 1000);
  if (shape == 1) return below(random, 3);
  if (shape == 2) return below(random, 6) == 0 ? 5000 : below(random, 40);
  if (shape == 3) return std::int64_t{1} << below(random, 40);
  return 0;
}

/// Loads even, skewed, with zeros and ties, or none; ranks with different slots, some dead;
/// sometimes a previous placement.
expert_layers random_problem(std::mt19937_64& random, std::int32_t most_experts, bool previous) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, 7);
  bool const equal = below(random, 2) == 0;
  auto const slots = 1 + below(random, 4);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 5)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 5);
    for (std::int32_t e = 0; e < p.experts; ++e) p.loads.push_back(any_load(random, shape));
  }
  if (!previous) return p;
  auto old = p;
  for (auto& load : old.loads) load = below(random, 100);
  p.previous = shunt::eplb{}(old).plan.expert_of;
  return p;
}

std::string field_of(std::function<void()> const& call) {
  try {
    call();
  } catch (shunt::invalid_problem const& e) {
    return e.field();
  }
  return "nothing thrown";
}

/// The live ranks that hold each expert, as bits.
std::vector<std::uint32_t> host_bits(expert_placement const& plan, layer_id l) {
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(plan.experts), 0);
  std::int32_t place = 0;
  for (std::size_t r = 0; r + 1 < plan.first_slot.size(); ++r) {
    for (auto s = plan.first_slot[r]; s < plan.first_slot[r + 1]; ++s)
      bits[plan.layer(l)[static_cast<std::size_t>(s)].index()] |= std::uint32_t{1} << place;
    place += plan.first_slot[r] < plan.first_slot[r + 1];
  }
  return bits;
}

/// Entry k: sets of k of `live` ranks that contain no host set whole, one by one.
std::vector<double> survivors(std::vector<std::uint32_t> const& hosts, std::int32_t live) {
  std::vector<double> sets(static_cast<std::size_t>(live) + 1, 0);
  for (std::uint32_t failed = 0; failed < std::uint32_t{1} << live; ++failed)
    if (std::all_of(hosts.begin(), hosts.end(), [&](auto h) { return (h & ~failed) != 0; }))
      ++sets[static_cast<std::size_t>(std::popcount(failed))];
  return sets;
}

TEST(Survival, EqualsEverySetOfFailures) {
  std::mt19937_64 random(11);
  int met = 0;
  for (int i = 0; i < 400; ++i) {
    auto const p = random_problem(random, 9, false);
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    for (auto const& plan :
         {shunt::swift_moe{}(p).plan, shunt::eplb{}(p).plan, shunt::lazarus{}(p).plan})
      for (std::int32_t l = 0; l < p.layers; ++l) {
        auto const wanted = survivors(host_bits(plan, l), live);
        EXPECT_EQ(shunt::survivable_failures(plan, l), wanted);
        EXPECT_EQ(shunt::survival_chance(plan, l, 0), 1);
        EXPECT_EQ(shunt::survival_chance(plan, l, live), 0);
        if (live > 1) {
          EXPECT_DOUBLE_EQ(shunt::survival_chance(plan, l, 1), wanted[1] / live);
        }
        met += shunt::minimal_host_sets(plan, l).size() > 2;
      }
  }
  EXPECT_GT(met, 50);
}

TEST(Survival, ByHand) {
  // experts 0 and 1 on ranks 0 and 1, expert 2 on ranks 1 and 2: lost with {0,1}, {1,2}
  expert_placement const plan{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 5, 6, 6}, .expert_of = {0, 1, 0, 1, 2, 2}};
  EXPECT_EQ(shunt::minimal_host_sets(plan, 0), (std::vector<shunt::host_set>{{0, 1}, {1, 2}}));
  EXPECT_EQ(shunt::survivable_failures(plan, 0),
            (std::vector<double>{1, 3, 1, 0}));  // rank 3 is dead already
  EXPECT_DOUBLE_EQ(shunt::survival_chance(plan, 0, 2), 1.0 / 3);
  EXPECT_EQ(field_of([&] { (void)shunt::survival_chance(plan, 0, 4); }), "failed");
}

/// The rule as the paper writes it, every sum taken anew.
counts_list plain_lazarus_counts(loads_list const& loads, std::int32_t slots, std::int32_t floor) {
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return loads[a] < loads[b] || (loads[a] == loads[b] && a < b); });
  counts_list counts(loads.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::int64_t tail = 0;
    for (std::size_t j = i; j < order.size(); ++j) tail += loads[order[j]];
    std::int64_t const left =
        slots - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    std::int64_t const share = tail == 0 ? left / static_cast<std::int64_t>(order.size() - i)
                                         : loads[order[i]] * left / tail;
    counts[order[i]] = static_cast<std::int32_t>(std::max<std::int64_t>(
        share, std::min(floor, slots / static_cast<std::int32_t>(loads.size()))));
  }
  return counts;
}

TEST(Lazarus, CountsFollowThePapersRule) {
  EXPECT_EQ(shunt::lazarus_counts(loads_list{700, 200, 60, 40}, 8, 1), (counts_list{5, 1, 1, 1}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{700, 200, 60, 40}, 12, 2), (counts_list{6, 2, 2, 2}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{0, 0, 0}, 8, 2), (counts_list{2, 3, 3}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{9, 0, 0}, 8, 4),
            (counts_list{4, 2, 2}));  // the floor is lowered to 8 / 3
  std::mt19937_64 random(12);
  for (int i = 0; i < 3000; ++i) {
    auto const p = random_problem(random, 12, false);
    auto const row = p.loads_of(0);
    auto const floor = static_cast<std::int32_t>(1 + below(random, 4));
    auto const counts = shunt::lazarus_counts(row, p.slots(), floor);
    ASSERT_EQ(counts, plain_lazarus_counts({row.begin(), row.end()}, p.slots(), floor));
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), p.slots());
    EXPECT_GE(*std::min_element(counts.begin(), counts.end()),
              std::min(floor, p.slots() / p.experts));
  }
}

TEST(Lazarus, PlacementsAreValidAndHaveItsCounts) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 1500; ++i) {
    auto const p = random_problem(random, 12, i % 3 == 0);
    shunt::lazarus const solver{.floor = static_cast<std::int32_t>(1 + below(random, 3))};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    EXPECT_GE(answer.objective, answer.lower_bound);
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const counts = shunt::lazarus_counts(p.loads_of(l), p.slots(), solver.floor);
      EXPECT_EQ(shunt::replica_counts(answer.plan, l).items(), counts);
    }
    auto again = p;
    again.previous = answer.plan.expert_of;
    for (std::int32_t l = 0; l < p.layers; ++l)
      EXPECT_EQ(shunt::moved_experts(again.previous_of(l), solver(again).plan, l), 0);
  }
}

/// Equal slots, whole groups: no placement with the same counts survives more failures, of however
/// many ranks.
TEST(Lazarus, MaximumRankOverlapIsTheBestOfAllPlacements) {
  struct sizes {
    std::int32_t ranks, slots, experts;
  };
  std::mt19937_64 random(14);
  int better = 0;
  for (auto const& s :
       {sizes{4, 2, 4}, sizes{3, 2, 2}, sizes{3, 3, 3}, sizes{5, 1, 3}, sizes{4, 2, 2}})
    for (int i = 0; i < 4; ++i) {
      expert_layers p{.experts = s.experts,
                      .slots_per_rank = counts_list(static_cast<std::size_t>(s.ranks), s.slots)};
      for (std::int32_t e = 0; e < s.experts; ++e)
        p.loads.push_back(1 + below(random, i < 2 ? 10 : 100));
      auto const plan =
          shunt::lazarus{.floor = static_cast<std::int32_t>(1 + below(random, 2))}(p).plan;
      auto const counts = shunt::replica_counts(plan, 0).items();
      auto const ours = survivors(host_bits(plan, 0), s.ranks);
      // every way to deal the counts to the slots, ascending within a rank
      std::vector<std::int32_t> held;
      auto left = counts;
      std::vector<std::uint32_t> hosts(static_cast<std::size_t>(s.experts), 0);
      std::function<void()> const deal = [&] {
        auto const at = static_cast<std::int32_t>(held.size());
        if (at == s.ranks * s.slots) {
          auto const theirs = survivors(hosts, s.ranks);
          for (std::size_t k = 0; k < ours.size(); ++k)
            ASSERT_LE(theirs[k], ours[k]) << s.ranks << "x" << s.slots << " " << k;
          better += theirs != ours;
          return;
        }
        for (std::int32_t e = at % s.slots == 0 ? 0 : held.back(); e < s.experts; ++e) {
          auto const i_e = static_cast<std::size_t>(e);
          if (left[i_e] == 0) continue;
          auto const before = hosts[i_e];
          --left[i_e];
          hosts[i_e] |= std::uint32_t{1} << (at / s.slots);
          held.push_back(e);
          deal();
          held.pop_back();
          hosts[i_e] = before;
          ++left[i_e];
        }
      };
      deal();
    }
  EXPECT_GT(better, 100);
}

TEST(Lazarus, SurvivesMoreThanContiguousSlots) {
  expert_layers const p{
      .experts = 8, .loads = {90, 80, 70, 60, 50, 40, 30, 20}, .slots_per_rank = counts_list(8, 4)};
  auto const ours = shunt::lazarus{}(p).plan, contiguous = shunt::swift_moe{}(p).plan;
  EXPECT_EQ(shunt::survival_chance(ours, 0, 1), 1);
  EXPECT_LT(shunt::survival_chance(contiguous, 0, 1), 1);
  for (std::int32_t k = 2; k < 8; ++k)
    EXPECT_GE(shunt::survival_chance(ours, 0, k), shunt::survival_chance(contiguous, 0, k));
}

TEST(Lazarus, BadSettingsAndNoPlan) {
  expert_layers const p{.experts = 3, .loads = {1, 2, 3}, .slots_per_rank = {1, 1}};
  EXPECT_EQ(shunt::lazarus{}(p).status, shunt::status::infeasible);
  EXPECT_EQ(shunt::flexmoe{}(p).status, shunt::status::infeasible);
  EXPECT_EQ(shunt::shadow{}(p).reason, "slots_per_rank: 2 slots for 3 experts");
  EXPECT_EQ(field_of([&] { (void)shunt::lazarus{.floor = 0}(p); }), "floor");
  EXPECT_EQ(field_of([&] { (void)shunt::shadow{.broadcast_cost = -1}(p); }), "broadcast_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.trigger = 0.5}(p); }), "trigger");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.steps = -1}(p); }), "steps");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.sync_cost = -1}(p); }), "sync_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.move_cost = -1}(p); }), "move_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.horizon = 0}(p); }), "horizon");
  expert_layers const lacking{
      .experts = 2, .loads = {1, 2}, .slots_per_rank = {1, 1}, .previous = {1, 1}};
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{}(lacking); }), "previous[0]");
}

TEST(FlexMoE, NeverWorseAndWithinItsBudget) {
  std::mt19937_64 random(15);
  int improved = 0;
  for (int i = 0; i < 1200; ++i) {
    auto const p = random_problem(random, 10, i % 2 == 0);
    shunt::flexmoe solver{.trigger = 1 + 0.1 * static_cast<double>(below(random, 4)),
                          .steps = static_cast<std::int32_t>(below(random, 5))};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    auto before = shunt::uniform{}(p).plan;
    if (!p.previous.empty()) before.expert_of = p.previous;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      double const was = shunt::max_over_mean(p.loads_of(l), before, l),
                   is = shunt::max_over_mean(p.loads_of(l), answer.plan, l);
      EXPECT_LE(is, was * (1 + 1e-6));
      auto const moved = shunt::moved_experts(before.layer(l), answer.plan, l);
      EXPECT_LE(moved, 2 * solver.steps);
      if (was <= solver.trigger * (1 - 1e-6)) {
        EXPECT_EQ(moved, 0);
      }
      improved += is < was * 0.99;
    }
    solver.move_cost = std::numeric_limits<std::int64_t>::max();  // nothing that needs sending pays
    solver.horizon = 1;
    auto const dear = solver(p).plan;
    for (std::int32_t l = 0; l < p.layers; ++l)
      EXPECT_EQ(shunt::moved_experts(before.layer(l), dear, l), 0);
  }
  EXPECT_GT(improved, 100);
}

/// One step: the best of all that the paper's rules allow, in doubles and from scratch.
TEST(FlexMoE, AStepIsTheBestOfAll) {
  std::mt19937_64 random(16);
  int swaps = 0, expansions = 0;
  for (int i = 0; i < 300; ++i) {
    auto p = random_problem(random, 6, true);
    p.layers = 1;
    p.loads.resize(static_cast<std::size_t>(p.experts));
    p.previous.resize(static_cast<std::size_t>(p.slots()));
    auto const sync = below(random, 2) * below(random, 200);
    auto plan = shunt::uniform{}(p).plan;
    auto const time = [&](std::vector<expert_id> const& slots) {
      plan.expert_of = slots;
      auto const hosts = host_bits(plan, 0);
      auto tokens = shunt::rank_loads(p.loads, plan, 0).items();
      std::int32_t place = 0;
      for (std::size_t r = 0; r < tokens.size(); ++r) {
        if (p.slots_per_rank[r] == 0) continue;
        for (auto const h : hosts)
          tokens[r] +=
              std::popcount(h) > 1 && (h >> place & 1) != 0 ? static_cast<double>(sync) : 0;
        ++place;
      }
      return *std::max_element(tokens.begin(), tokens.end());
    };
    double const before = time(p.previous);
    double best = before, swapped = before;
    auto const counts = shunt::replica_counts(plan, 0);
    auto const hosts = host_bits(plan, 0);
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    auto const share = [&](std::int32_t e) {
      return static_cast<double>(p.loads[static_cast<std::size_t>(e)]) / counts[e];
    };
    std::int32_t hot = -1, cold = -1;
    for (std::int32_t e = 0; e < p.experts; ++e)
      if (std::popcount(hosts[static_cast<std::size_t>(e)]) < live &&
          (hot < 0 || share(e) > share(hot) + 1e-6))
        hot = e;
    for (std::int32_t e = 0; e < p.experts; ++e)
      if (e != hot && counts[e] > 1 && (cold < 0 || share(e) < share(cold) - 1e-6)) cold = e;
    for (std::size_t s = 0; s < p.previous.size(); ++s) {
      auto changed = p.previous;
      if (hot >= 0 && cold >= 0 && changed[s] == expert_id{cold}) {
        changed[s] = hot;
        best = std::min(best, time(changed));
        for (std::size_t other = 0; other < p.previous.size(); ++other) {
          if (p.previous[other] == expert_id{cold}) continue;
          changed = p.previous;
          changed[s] = changed[other];
          changed[other] = hot;
          best = std::min(best, time(changed));
        }
      }
      for (std::size_t other = 0; other < s; ++other) {
        changed = p.previous;
        std::swap(changed[s], changed[other]);
        swapped = std::min(swapped, time(changed));
      }
    }
    shunt::flexmoe const solver{.trigger = 1, .steps = 1, .sync_cost = sync};
    auto const after = shunt::solve(p, solver).plan.expert_of;
    double const fullest = shunt::max_over_mean(p.loads, (time(p.previous), plan), 0);
    double const wanted = fullest > 1 + 1e-9 ? std::min(best, swapped) : before;
    double const scale =
        std::max(1.0, before) * 1e-6 +
        static_cast<double>(std::accumulate(p.loads.begin(), p.loads.end(), std::int64_t{0})) *
            1e-8;
    EXPECT_NEAR(time(after), wanted, scale) << "case " << i;
    if (wanted < before - scale) ++(swapped < best ? swaps : expansions);
  }
  EXPECT_GT(swaps, 20);
  EXPECT_GT(expansions, 20);
}

TEST(FlexMoE, AFreedSlotIsExchangedWhereThatHelps) {
  // experts 1, 2 and 3 have equal shares; 1 shrinks beside expert 0 alone, so that another expert
  // makes room on its rank
  expert_layers const p{.experts = 4, .loads = {70, 10, 10, 10}, .slots_per_rank = {2, 2, 2, 2}};
  auto const answer = shunt::flexmoe{.steps = 1}(p);
  EXPECT_EQ(shunt::replica_counts(answer.plan, 0).items(), (counts_list{3, 1, 2, 2}));
  EXPECT_LT(answer.objective, shunt::uniform{}(p).objective);
}

TEST(FlexMoE, MovesThatDontPayAreTakenBack) {
  expert_layers const p{
      .experts = 2, .loads = {80, 20}, .slots_per_rank = {2, 2}, .previous = {0, 0, 1, 1}};
  auto const moved = [&](std::int64_t cost, std::int32_t horizon) {
    return shunt::moved_experts(p.previous_of(0),
                                shunt::flexmoe{.move_cost = cost, .horizon = horizon}(p).plan, 0);
  };
  // (0,0 | 1,1): 80 and 20. A swap: 50 and 50 for two moves. An instance of 0 for one of 1: 53.3
  // and 46.7, a fall of 26.7 for one move
  EXPECT_EQ(moved(0, 1), 2);
  EXPECT_EQ(moved(26, 1), 1);
  EXPECT_EQ(moved(27, 1), 0);
  EXPECT_EQ(moved(27, 2), 1);
  EXPECT_EQ(shunt::moved_experts(p.previous_of(0), shunt::flexmoe{.trigger = 1.6}(p).plan, 0), 0);
}

TEST(Shadow, AnExpertHasOneHostOrAllOfThem) {
  std::mt19937_64 random(17);
  int shadows = 0;
  for (int i = 0; i < 1500; ++i) {
    auto const p = random_problem(random, 12, false);
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    shunt::shadow const solver{.broadcast_cost = below(random, 3) * 50};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    if (p.experts < live) continue;
    auto const alone =
        shunt::shadow{.broadcast_cost = std::numeric_limits<std::int64_t>::max()}(p).plan;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const hosts = host_bits(answer.plan, l), homes = host_bits(alone, l);
      double sent = 0;
      for (std::size_t e = 0; e < hosts.size(); ++e) {
        EXPECT_EQ(std::popcount(homes[e]), 1);
        EXPECT_EQ(hosts[e] & homes[e], homes[e]);  // homes don't move
        EXPECT_TRUE(hosts[e] == homes[e] || std::popcount(hosts[e]) == live);
        sent += hosts[e] != homes[e];
      }
      shadows += sent > 0;
    }
  }
  EXPECT_GT(shadows, 100);
}

TEST(Shadow, PaysOrDoesNot) {
  // four ranks, two homes each, one spare slot each: only one shadow fits
  expert_layers const p{
      .experts = 8, .loads = {800, 10, 10, 10, 10, 10, 10, 10}, .slots_per_rank = {3, 3, 3, 3}};
  auto const hosts_of_hot = [&](std::int64_t cost) {
    return std::popcount(host_bits(shunt::shadow{.broadcast_cost = cost}(p).plan, 0)[0]);
  };
  // alone 810; as a shadow 20 + 800 / 4 = 220
  EXPECT_EQ(hosts_of_hot(0), 4);
  EXPECT_EQ(hosts_of_hot(589), 4);
  EXPECT_EQ(hosts_of_hot(590), 1);
  auto const plan = shunt::shadow{.broadcast_cost = 0}(p).plan;
  EXPECT_EQ(plan.expert_of, (std::vector<expert_id>{0, 1, 1, 2, 3, 0, 4, 5, 0, 6, 7, 0}));
  EXPECT_NEAR(shunt::shadow_cost(1024, 4, 2, 12.5e9, 1e13), 236, 1);
}

TEST(Predictors, ByHand) {
  loads_list const history{10, 0, 20, 100, 40, 7};  // three windows of two loads
  EXPECT_EQ(shunt::last_window{}(history, 2), (loads_list{40, 7}));
  EXPECT_EQ(shunt::window_mean{.windows = 2}(history, 2),
            (loads_list{30, 54}));  // 53.5 is rounded up
  EXPECT_EQ(shunt::window_mean{}(history, 2), (loads_list{23, 36}));
  EXPECT_EQ(shunt::exponential_mean{}(history, 2),
            (loads_list{28, 29}));  // 10, 15, 27.5; 0, 50, 28.5
  EXPECT_EQ(shunt::linear_trend{}(history, 2),
            (loads_list{53, 43}));  // 23.3 + 2 x 15; 35.7 + 2 x 3.5
  EXPECT_EQ(shunt::linear_trend{.windows = 2}(history, 2), (loads_list{60, 0}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{5, 6}, 2), (loads_list{5, 6}));
}

TEST(Predictors, EqualTheirFormulasInDoubles) {
  std::mt19937_64 random(18);
  for (int i = 0; i < 2000; ++i) {
    auto const cells = static_cast<std::size_t>(1 + below(random, 3));
    auto const windows = static_cast<std::size_t>(1 + below(random, 9));
    loads_list history;
    for (std::size_t c = 0; c < cells * windows; ++c)
      history.push_back(any_load(random, below(random, 4)));
    auto const n_asked = static_cast<std::int32_t>(1 + below(random, 7));
    auto const n = std::min(windows, static_cast<std::size_t>(n_asked));
    auto const d = static_cast<std::int32_t>(1 + below(random, 5)),
               a = static_cast<std::int32_t>(1 + below(random, d));
    auto const mean = shunt::window_mean{.windows = n_asked}(history, cells);
    auto const line = shunt::linear_trend{.windows = n_asked}(history, cells);
    auto const smooth = shunt::exponential_mean{.numerator = a, .denominator = d}(history, cells);
    for (std::size_t c = 0; c < cells; ++c) {
      double sum = 0, x = 0, ix = 0, most = 1;
      for (std::size_t w = 0; w < windows; ++w) {
        auto const y = static_cast<double>(history[w * cells + c]);
        most = std::max(most, y);
        x = w == 0 ? y : x + (y - x) * a / d;
      }
      for (std::size_t k = 0; k < n; ++k) {
        auto const y = static_cast<double>(history[(windows - n + k) * cells + c]);
        sum += y;
        ix += y * (static_cast<double>(k) - static_cast<double>(n - 1) / 2);
      }
      auto const count = static_cast<double>(n);
      double const slope = n == 1 ? 0 : ix * 12 / (count * (count * count - 1));
      EXPECT_NEAR(static_cast<double>(mean[c]), sum / count, 0.51 + most * 1e-12);
      EXPECT_NEAR(static_cast<double>(smooth[c]), x, 0.6 + most * 1e-12);
      EXPECT_NEAR(static_cast<double>(line[c]),
                  std::max(0.0, sum / count + slope * (count + 1) / 2), 0.51 + most * 1e-11);
    }
  }
}

TEST(Predictors, LargeLoadsAndBadInput) {
  std::int64_t const much = (std::int64_t{1} << 61) - 1;
  loads_list const same{much, much, much};
  EXPECT_EQ(shunt::window_mean{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::exponential_mean{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::linear_trend{}(same, 1), (loads_list{much}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{much, 0}, 1), (loads_list{0}));
  EXPECT_EQ(shunt::linear_trend{}(loads_list{0, much}, 1), (loads_list{2 * much}));
  EXPECT_EQ(field_of([] { (void)shunt::last_window{}(loads_list{}, 2); }), "history");
  EXPECT_EQ(field_of([] { (void)shunt::window_mean{}(loads_list{1, 2, 3}, 2); }), "history");
  EXPECT_EQ(field_of([] { (void)shunt::linear_trend{.windows = 0}(loads_list{1}, 1); }), "windows");
  EXPECT_EQ(field_of([] { (void)shunt::exponential_mean{.numerator = 3}(loads_list{1}, 1); }),
            "numerator");
}

TEST(Predictors, AreScored) {
  load_series const rising{.layers = 1, .experts = 2, .loads = {10, 30, 20, 40, 30, 50, 40, 60}};
  EXPECT_DOUBLE_EQ(shunt::prediction_error(rising, shunt::last_window{}), 60.0 / 240);
  EXPECT_DOUBLE_EQ(shunt::prediction_error(rising, shunt::linear_trend{}),
                   20.0 / 240);  // the second window alone is not foreseen
  load_series const still{.layers = 2, .experts = 1, .loads = {7, 8, 7, 8, 7, 8}};
  for (double const error : {shunt::prediction_error(still, shunt::last_window{}),
                             shunt::prediction_error(still, shunt::window_mean{}),
                             shunt::prediction_error(still, shunt::exponential_mean{}),
                             shunt::prediction_error(still, shunt::linear_trend{})})
    EXPECT_EQ(error, 0);
  EXPECT_EQ(field_of([] {
              (void)shunt::prediction_error(load_series{.loads = {1}}, shunt::last_window{});
            }),
            "loads");
}

TEST(LoadSeries, BrokenOnesAreNamed) {
  load_series const good{.layers = 1, .experts = 2, .loads = {1, 2, 3, 4}, .iterations = {5, 9}};
  EXPECT_EQ(field_of([&] { validate(good); }), "nothing thrown");
  EXPECT_EQ(good.between(6, 9),
            (load_series{.layers = 1, .experts = 2, .loads = {3, 4}, .iterations = {9}}));
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(field_of([&] { validate(bad); }), "layers");
  bad = good;
  bad.experts = 0;
  EXPECT_EQ(field_of([&] { validate(bad); }), "experts");
  bad = good;
  bad.loads.push_back(1);
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads");
  bad = good;
  bad.iterations = {5};
  EXPECT_EQ(field_of([&] { validate(bad); }), "iterations");
  bad.iterations = {5, 5};
  EXPECT_EQ(field_of([&] { validate(bad); }), "iterations[1]");
  bad = good;
  bad.loads[3] = -1;
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads[1][0][1]");
  bad.loads[3] = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(field_of([&] { validate(bad); }), "loads[1][0]");
}

TEST(ReceivedExperts, AddUpToMovedExperts) {
  std::mt19937_64 random(19);
  for (int i = 0; i < 500; ++i) {
    auto const p = random_problem(random, 8, true);
    auto const after = shunt::swift_moe{}(p).plan;
    auto before = after;
    before.expert_of = p.previous;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const received = shunt::received_experts(before, after, l).items();
      EXPECT_EQ(std::accumulate(received.begin(), received.end(), 0),
                shunt::moved_experts(p.previous_of(l), after, l));
    }
  }
}

TEST(Replay, ByHand) {
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

TEST(Replay, PoliciesSeeThePlacementInForceAndTheHistory) {
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

TEST(Replay, TrafficHasThePapersFigures) {
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

TEST(Replay, OfOurOwnTraining) {
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

TEST(PhysicalMap, ArraysAsEplbHasThem) {
  expert_placement const plan{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 2, 0, 1}};
  auto const map = shunt::physical_map_of(plan);
  EXPECT_EQ(map.physical_to_logical, (counts_list{0, 2, 0, 1}));
  EXPECT_EQ(map.replica_counts, (counts_list{2, 1, 1}));
  EXPECT_EQ(map.most_replicas, 2);
  EXPECT_EQ(map.logical_to_physical, (counts_list{0, 2, 3, -1, 1, -1}));
  counts_list const slots{2, 2};
  EXPECT_EQ(shunt::placement_of(map, slots), plan);
  auto bad = map;
  bad.physical_to_logical[1] = 3;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "phy2log[0][1]");
  bad = map;
  bad.physical_to_logical.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "phy2log");
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(map, counts_list{2, 3}); }), "phy2log");
  bad = map;
  bad.replica_counts[2] = 2;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "logcnt[0][2]");
  bad.replica_counts.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "logcnt");
  bad = map;
  std::swap(bad.logical_to_physical[0], bad.logical_to_physical[1]);  // any order will do
  EXPECT_EQ(shunt::placement_of(bad, slots), plan);
  bad.logical_to_physical[3] = 1;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "log2phy[0][1]");
  bad.logical_to_physical.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "log2phy");
  std::mt19937_64 random(20);
  for (int i = 0; i < 300; ++i) {
    auto const p = random_problem(random, 10, false);
    auto const any = shunt::eplb{}(p).plan;
    EXPECT_EQ(shunt::placement_of(shunt::physical_map_of(any), p.slots_per_rank), any);
  }
}

constexpr std::int64_t foreseen(auto const& predict) {
  std::vector<std::int64_t> history;
  for (std::int64_t const load : {10, 20, 30}) history.push_back(load);
  return predict(history, 1)[0];
}
static_assert(foreseen(shunt::last_window{}) == 30 && foreseen(shunt::window_mean{}) == 20 &&
              foreseen(shunt::linear_trend{}) == 40);
static_assert(foreseen(shunt::exponential_mean{}) == 23);  // 22.5

}  // namespace
