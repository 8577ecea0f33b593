#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"

namespace {

using shunt::expert_id;
using shunt::expert_layers;
using shunt::expert_placement;
using counts_list = std::vector<std::int32_t>;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

expert_layers one_layer(std::vector<std::int64_t> loads, std::vector<std::int32_t> slots) {
  auto const experts = static_cast<std::int32_t>(loads.size());
  return {.layers = 1,
          .experts = experts,
          .loads = std::move(loads),
          .slots_per_rank = std::move(slots)};
}

/// Loads of many shapes: even, skewed, one expert only, with zeros, with ties.
expert_layers random_problem(std::mt19937_64& random, std::int32_t most_experts) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 3));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, 9);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 6)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 5);
    auto const hot = below(random, p.experts);
    for (std::int32_t e = 0; e < p.experts; ++e) {
      std::int64_t load = below(random, 1000);
      if (shape == 1) load = below(random, 3);
      if (shape == 2) load = e == hot ? 5000 : below(random, 2);
      if (shape == 3) load = std::int64_t{1} << below(random, 30);
      if (shape == 4) load = 0;
      p.loads.push_back(load);
    }
  }
  return p;
}

/// Algorithm 1 as the paper writes it, one step at a time, scaled to integers.
counts_list plain_counts(std::vector<std::int64_t> const& loads, std::int64_t slots) {
  std::int64_t total = 0;
  for (auto const load : loads) total += load;
  counts_list counts;
  std::vector<std::int64_t> diff;
  std::int64_t sum = 0;
  for (auto const load : loads) {
    counts.push_back(static_cast<std::int32_t>(std::max<std::int64_t>(load * slots / total, 1)));
    diff.push_back(counts.back() * total - load * slots);
    sum += counts.back();
  }
  while (sum > slots) {
    auto const i = std::max_element(diff.begin(), diff.end()) - diff.begin();
    if (counts[static_cast<std::size_t>(i)] > 1) {
      --counts[static_cast<std::size_t>(i)];
      --sum;
    }
    diff[static_cast<std::size_t>(i)] -= total;
  }
  while (sum < slots) {
    auto const i = std::min_element(diff.begin(), diff.end()) - diff.begin();
    ++counts[static_cast<std::size_t>(i)];
    ++sum;
    diff[static_cast<std::size_t>(i)] += total;
  }
  return counts;
}

std::vector<std::int32_t> slots_of(expert_placement const& placement, shunt::layer_id layer = 0) {
  std::vector<std::int32_t> list;
  for (auto const e : placement.layer(layer)) list.push_back(e.value());
  return list;
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

TEST(SwiftMoe, GoldenVectors) {
  struct vector {
    std::vector<std::int64_t> loads;
    std::vector<std::int32_t> ranks;
    counts_list counts;
    std::vector<std::int32_t> slots;
  };
  for (vector const& v :
       {vector{{100, 100, 100, 100}, {2, 2, 2, 2}, {2, 2, 2, 2}, {0, 0, 1, 1, 2, 2, 3, 3}},
        vector{{700, 200, 60, 40}, {2, 2, 2, 2}, {5, 1, 1, 1}, {0, 0, 0, 0, 0, 1, 2, 3}},
        vector{{1000, 0, 0, 0}, {2, 2, 2, 2}, {5, 1, 1, 1}, {0, 0, 0, 0, 0, 1, 2, 3}},
        vector{{10, 5, 3, 2, 1, 1}, {2, 2, 2}, {1, 1, 1, 1, 1, 1}, {0, 1, 2, 3, 4, 5}}}) {
    auto const problem = one_layer(v.loads, v.ranks);
    auto const answer = shunt::solve(problem, shunt::swift_moe{});
    ASSERT_TRUE(answer.has_plan());
    EXPECT_EQ(shunt::replica_counts(answer.plan, 0).items(), v.counts);
    EXPECT_EQ(slots_of(answer.plan), v.slots);
    EXPECT_TRUE(shunt::check(problem, answer.plan).empty());
  }
}

TEST(SwiftMoe, HostsOfGoldenVectorB) {
  auto const plan = shunt::swift_moe{}(one_layer({700, 200, 60, 40}, {2, 2, 2, 2})).plan;
  auto const hosts = shunt::hosts_of(plan, 0);
  using list = std::vector<shunt::expert_host>;
  EXPECT_EQ(hosts[0], (list{{0, {0, 1}}, {1, {0, 1}}, {2, {0}}}));
  EXPECT_EQ(hosts[1], (list{{2, {1}}}));
  EXPECT_EQ(hosts[2], (list{{3, {0}}}));
  EXPECT_EQ(hosts[3], (list{{3, {1}}}));
}

TEST(SwiftMoe, CountsEqualThePapersLoop) {
  std::mt19937_64 random(1);
  int lifted = 0;
  for (int i = 0; i < 20000; ++i) {
    auto const p = random_problem(random, i % 10 == 0 ? 60 : 8);
    auto const plan = shunt::swift_moe{}(p).plan;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const row = p.loads_of(l);
      std::vector<std::int64_t> const loads(row.begin(), row.end());
      if (std::all_of(loads.begin(), loads.end(), [](auto load) { return load == 0; })) continue;
      auto const counts = shunt::replica_counts(plan, l).items();
      ASSERT_EQ(counts, plain_counts(loads, p.slots())) << "case " << i << " layer " << l;
      lifted += std::count(counts.begin(), counts.end(), 1) > 0;
    }
  }
  EXPECT_GT(lifted, 1000);
}

TEST(SwiftMoe, LawsOfTheNotes) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 5000; ++i) {
    auto const p = random_problem(random, 20);
    auto const answer = shunt::swift_moe{}(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const slots = slots_of(answer.plan, l);
      EXPECT_TRUE(std::is_sorted(slots.begin(), slots.end()));
      EXPECT_LE(shunt::hosted_pairs(answer.plan, l), std::min(p.slots(), live + p.experts - 1));
      std::vector<int> groups(static_cast<std::size_t>(p.ranks()), 0);
      std::int32_t pairs = 0;
      for (auto const& hosts : shunt::hosts_of(answer.plan, l)) {
        pairs += static_cast<std::int32_t>(hosts.size());
        for (auto const& h : hosts) groups[h.rank.index()] += hosts.size() > 1;
      }
      EXPECT_EQ(pairs, shunt::hosted_pairs(answer.plan, l));
      EXPECT_LE(*std::max_element(groups.begin(), groups.end()), 2);
    }
    EXPECT_GE(answer.objective, answer.lower_bound);
    EXPECT_EQ(answer.status == shunt::status::optimal, answer.objective == answer.lower_bound);
  }
}

TEST(SwiftMoe, ALayerWithNoTokensGetsEqualCounts) {
  expert_layers const p{
      .layers = 2, .experts = 3, .loads = {0, 0, 0, 0, 0, 9}, .slots_per_rank = {4, 4}};
  auto const plan = shunt::swift_moe{}(p).plan;
  EXPECT_EQ(shunt::replica_counts(plan, 0).items(), (counts_list{3, 3, 2}));
  EXPECT_EQ(shunt::replica_counts(plan, 1).items(), (counts_list{1, 1, 6}));
}

TEST(SwiftMoe, LargeLoadsStayExact) {
  std::int64_t const much = (std::int64_t{1} << 62) / 20 -
                            10;  // the sum of two times (8 slots + 2 experts) is just below 2^62
  auto const plan = shunt::swift_moe{}(one_layer({much, much}, {4, 4})).plan;
  EXPECT_EQ(shunt::replica_counts(plan, 0).items(), (counts_list{4, 4}));
  auto const skewed = shunt::swift_moe{}(one_layer({2 * much - 1, 1}, {4, 4})).plan;
  EXPECT_EQ(shunt::replica_counts(skewed, 0).items(), (counts_list{7, 1}));
}

TEST(Uniform, IsDeepSpeedsRuleWhereThatIsDefined) {
  // 16 experts, 4 a rank: groups of 4 ranks; rank j of each group holds experts 4 j .. 4 j + 3
  auto const plan = shunt::uniform{}(one_layer(std::vector<std::int64_t>(16, 1),
                                               std::vector<std::int32_t>(16, 4)))
                        .plan;
  for (std::int32_t rank = 0; rank < 16; ++rank)
    for (std::int32_t k = 0; k < 4; ++k)
      EXPECT_EQ(plan.layer(0)[static_cast<std::size_t>(4 * rank + k)],
                expert_id{4 * (rank % 4) + k});
}

TEST(Uniform, SpreadsReplicasEvenlyOverDistinctRanks) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    auto const p = random_problem(random, 12);
    auto const plan = shunt::uniform{}(p).plan;
    ASSERT_TRUE(shunt::check(p, plan).empty());
    auto const counts = shunt::replica_counts(plan, 0).items();
    EXPECT_LE(*std::max_element(counts.begin(), counts.end()) -
                  *std::min_element(counts.begin(), counts.end()),
              1);
    for (auto const& hosts : shunt::hosts_of(plan, 0))
      for (auto const& h : hosts) {
        EXPECT_LE(static_cast<std::int32_t>(h.slots.size()),
                  (p.slots_per_rank[h.rank.index()] + p.experts - 1) / p.experts);
      }
  }
}

TEST(Imbalance, SplitsAnExpertsLoadEvenlyOverItsReplicas) {
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 2, 4, 4}, .expert_of = {0, 0, 0, 1}};
  std::vector<std::int64_t> const loads{30, 50};
  EXPECT_EQ(shunt::rank_loads(loads, plan, 0).items(), (std::vector<double>{20, 60, 0}));
  EXPECT_EQ(shunt::max_over_mean(loads, plan, 0), 1.5);  // rank 2 has no slots and doesn't count
  EXPECT_EQ(shunt::hosted_pairs(plan, 0), 3);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, 20), 30);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, 9), 3 + 41);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, std::numeric_limits<std::int64_t>::max()),
            0);
  EXPECT_EQ(shunt::max_over_mean(std::vector<std::int64_t>{0, 0}, plan, 0), 1);
}

/// Every placement of small problems: none is better than the bound, and the bound is met
/// somewhere.
TEST(Imbalance, NoPlacementBeatsTheBound) {
  std::mt19937_64 random(4);
  int met = 0, above_one = 0;
  for (int i = 0; i < 300; ++i) {
    expert_layers p;
    p.experts = static_cast<std::int32_t>(1 + below(random, 3));
    for (auto ranks = 1 + below(random, 4); ranks > 0; --ranks)
      p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 3)));
    while (p.slots() < p.experts) ++p.slots_per_rank[0];
    for (std::int32_t e = 0; e < p.experts; ++e)
      p.loads.push_back(e == 0 ? below(random, 100) : below(random, 10));
    expert_placement plan{.layers = 1, .experts = p.experts, .first_slot = {0}, .expert_of = {}};
    for (auto const s : p.slots_per_rank) plan.first_slot.push_back(plan.first_slot.back() + s);
    auto const slots = static_cast<std::size_t>(p.slots());
    plan.expert_of.assign(slots, 0);
    double best = std::numeric_limits<double>::infinity();
    for (;;) {
      if (shunt::check(p, plan).empty()) best = std::min(best, shunt::mean_max_over_mean(p, plan));
      std::size_t at = 0;
      while (at < slots && plan.expert_of[at] == expert_id{p.experts - 1}) plan.expert_of[at++] = 0;
      if (at == slots) break;
      ++plan.expert_of[at];
    }
    double const bound = shunt::max_over_mean_bound(p, 0);
    EXPECT_GE(best, bound * (1 - 1e-12));
    EXPECT_GE(bound, 1);
    met += best <= bound * (1 + 1e-12);
    above_one += bound > 1.001;
    for (auto const& answer : {shunt::swift_moe{}(p), shunt::uniform{}(p)})
      EXPECT_GE(answer.objective, best * (1 - 1e-12));
  }
  EXPECT_GT(met, 100);
  EXPECT_GT(above_one, 20);
}

TEST(CheckPlacement, FindsWhatIsWrong) {
  using kind = shunt::placement_violation::kind;
  auto const problem = one_layer({1, 1, 1}, {2, 2});
  expert_placement const good{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 1, 2, 0}};
  EXPECT_TRUE(shunt::check(problem, good).empty());
  auto const only = [&](expert_placement const& plan) {
    auto const found = shunt::check(problem, plan);
    EXPECT_EQ(found.size(), 1u);
    return found.at(0);
  };
  auto bad = good;
  bad.expert_of[2] = 1;
  EXPECT_EQ(only(bad), (shunt::placement_violation{.what = kind::no_replica, .expert = 2}));
  EXPECT_EQ(to_string(only(bad)), "layer 0: expert 2 has no slot");
  bad = good;
  bad.expert_of[3] = 3;
  EXPECT_EQ(only(bad), (shunt::placement_violation{
                           .what = kind::unknown_expert, .slot = 3, .found = 3, .wanted = 3}));
  EXPECT_EQ(to_string(only(bad)), "layer 0, slot 3: holds expert 3 of 3");
  bad.expert_of[3] = -1;
  EXPECT_EQ(only(bad).what, kind::unknown_expert);
  bad = good;
  bad.first_slot = {0, 3, 4};
  EXPECT_EQ(shunt::check(problem, bad).size(), 2u);
  EXPECT_EQ(to_string(shunt::check(problem, bad)[0]), "slots of rank 0: found 3, wanted 2");
  bad = good;
  bad.expert_of.pop_back();
  EXPECT_EQ(only(bad).what, kind::slot_count);
  bad = good;
  bad.layers = 2;
  EXPECT_EQ(to_string(only(bad)), "layers: found 2, wanted 1");
  bad = good;
  bad.experts = 4;
  EXPECT_EQ(only(bad).what, kind::expert_count);
  bad = good;
  bad.first_slot.push_back(4);
  EXPECT_EQ(to_string(only(bad)), "ranks: found 3, wanted 2");
  EXPECT_EQ(shunt::check(problem, expert_placement{}).size(), 3u);
}

TEST(BadExpertLayers, AreNamed) {
  auto const solved = [](expert_layers const& p) { return [p] { (void)shunt::swift_moe{}(p); }; };
  auto const good = one_layer({1, 2}, {1, 1});
  EXPECT_EQ(field_of(solved(good)), "nothing thrown");
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(field_of(solved(bad)), "layers");
  bad = good;
  bad.experts = -3;
  std::string text;
  EXPECT_EQ(field_of(solved(bad), &text), "experts");
  EXPECT_EQ(text, "experts: must be at least 1, is -3");
  bad = good;
  bad.slots_per_rank = {};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank");
  bad = good;
  bad.slots_per_rank = {3, -1};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank[1]");
  bad = good;
  bad.slots_per_rank = {std::numeric_limits<std::int32_t>::max(), 1};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank");
  bad = good;
  bad.loads.push_back(1);  // ragged
  EXPECT_EQ(field_of(solved(bad)), "loads");
  bad = good;
  bad.loads[1] = -7;
  EXPECT_EQ(field_of(solved(bad), &text), "loads[0][1]");
  EXPECT_EQ(text, "loads[0][1]: must be at least 0, is -7");
  bad = good;
  bad.loads = {std::numeric_limits<std::int64_t>::max(), 1};
  EXPECT_EQ(field_of(solved(bad)), "loads[0]");
  EXPECT_EQ(field_of([&] { (void)shunt::uniform{}(bad); }), "loads[0]");
}

TEST(BadExpertLayers, FewerSlotsThanExpertsIsInfeasible) {
  auto const p = one_layer({1, 2, 3}, {1, 0, 1});
  for (auto const& answer : {shunt::swift_moe{}(p), shunt::uniform{}(p)}) {
    EXPECT_EQ(answer.status, shunt::status::infeasible);
    EXPECT_EQ(answer.reason, "slots_per_rank: 2 slots for 3 experts");
    EXPECT_EQ(answer.plan, expert_placement{});
  }
}

constexpr std::array<std::int32_t, 4> counted_while_compiling(
    std::array<std::int64_t, 4> const& loads) {
  std::array<std::int32_t, 4> counts{};
  std::array<std::int64_t, 8> scratch{};
  shunt::swift_moe_counts(loads.data(), 4, 8, counts.data(), scratch.data());
  return counts;
}
static_assert(counted_while_compiling({700, 200, 60, 40}) == std::array{5, 1, 1, 1});
static_assert(counted_while_compiling({1, 1, 1, 2}) ==
              std::array{2, 2, 1, 3});  // goals 1.6, 1.6, 1.6, 3.2

}  // namespace
