#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::eplb_test {
namespace {

// ---- eplb ----

/// TensorRT-LLM's doReplication and doPlacement told plainly: scans instead of queues.
std::vector<expert_id> plain_eplb(std::span<std::int64_t const> loads,
                                  std::vector<std::int32_t> const& slots) {
  auto const experts = loads.size();
  std::int64_t spare = -static_cast<std::int64_t>(experts), total = 0;
  for (auto const s : slots) spare += s;
  for (auto const w : loads) total += w;
  std::vector<double> copies(experts, 1);
  for (std::int64_t k = 0; k < spare; ++k) {
    std::size_t best = 0;
    for (std::size_t e = 1; e < experts; ++e)
      if (static_cast<double>(loads[e]) / copies[e] >=
          static_cast<double>(loads[best]) / copies[best])
        best = e;
    if (total == 0) best = static_cast<std::size_t>(k) % experts;
    ++copies[best];
  }
  std::vector<std::pair<double, std::size_t>> replicas;
  for (std::size_t e = 0; e < experts; ++e)
    for (double k = 0; k < copies[e]; ++k)
      replicas.push_back({-static_cast<double>(loads[e]) / copies[e], e});
  std::sort(replicas.begin(), replicas.end());
  std::vector<double> load(slots.size(), 0);
  std::vector<std::vector<std::size_t>> held(slots.size());
  for (auto const& [share, e] : replicas) {
    std::size_t best = slots.size();
    for (std::size_t r = 0; r < slots.size(); ++r)
      if (held[r].size() < static_cast<std::size_t>(slots[r]) &&
          (best == slots.size() || load[r] < load[best]))
        best = r;
    load[best] -= share;
    held[best].push_back(e);
  }
  std::vector<expert_id> list;
  for (auto const& rank : held)
    for (auto const e : rank) list.push_back(e);
  return list;
}

TEST(eplb, is_the_plain_rule_to_the_bit) {
  std::mt19937_64 random(11);
  int ties = 0;
  for (int i = 0; i < 4000; ++i) {
    bool const large =
        i % 100 == 0;  // sorted otherwise than the small ones, experts as well as ranks
    auto p = random_layers_of_six_shapes(random,
                                         large        ? 300
                                         : i % 8 == 0 ? 90
                                                      : 9,
                                         large ? 90 : 9, 6);
    if (i % 7 == 0) p.loads.assign(p.loads.size(), 1 + below(random, 1000));  // ties everywhere
    if (i % 5 == 0)
      for (auto& load : p.loads) load = std::max<std::int64_t>(load, 1);
    auto const answer = shunt::eplb{}(p);
    ASSERT_TRUE(shunt::check(p, answer.plan).empty());
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const slots = answer.plan.layer(l);
      ASSERT_EQ(std::vector<expert_id>(slots.begin(), slots.end()),
                plain_eplb(p.loads_of(l), p.slots_per_rank))
          << "case " << i;
      auto const row = p.loads_of(l);
      ties += p.experts > 2 && row[0] == row[1];
    }
    EXPECT_GE(answer.objective, answer.lower_bound * (1 - 1e-12));
  }
  EXPECT_GT(ties, 100);
}

TEST(eplb, is_the_plain_rule_on_a_large_layer) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 30; ++i) {
    expert_layers p{.layers = 1,
                    .experts = 256,
                    .loads = {},
                    .slots_per_rank = shunt::deal_slots(288, i % 3 == 0 ? 288 : 32)};
    for (int e = 0; e < 256; ++e)
      p.loads.push_back(i % 2 == 0 ? below(random, 1 << 16) : (1 << 20) / (1 + below(random, 300)));
    EXPECT_EQ(shunt::eplb{}(p).plan.expert_of, plain_eplb(p.loads, p.slots_per_rank));
  }
}

TEST(eplb, renamed_experts_are_placed_alike) {
  std::mt19937_64 random(22);
  int asked = 0;
  for (int i = 0; i < 400; ++i) {
    auto const experts = static_cast<std::size_t>(2 + below(random, 14));
    expert_layers p{.layers = 1,
                    .experts = static_cast<std::int32_t>(experts),
                    .loads = {},
                    .slots_per_rank = {5, 4, 0, 5, 3}};
    for (std::size_t e = 0; e < experts; ++e) p.loads.push_back(1 + below(random, 1 << 20));
    std::vector<std::size_t> name(experts);
    for (std::size_t e = 0; e < experts; ++e) name[e] = e;
    for (std::size_t e = experts; e-- > 1;)
      std::swap(name[e],
                name[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(e) + 1))]);
    auto renamed = p;
    for (std::size_t e = 0; e < experts; ++e) renamed.loads[name[e]] = p.loads[e];
    auto const first = shunt::eplb{}(p).plan, second = shunt::eplb{}(renamed).plan;
    auto const counts = shunt::replica_counts(first, 0);
    std::vector<double> shares;  // where two are equal the lowest index decides, and names matter
    for (std::size_t e = 0; e < experts; ++e)
      shares.push_back(static_cast<double>(p.loads[e]) / counts[expert_id{e}]);
    std::sort(shares.begin(), shares.end());
    if (std::adjacent_find(shares.begin(), shares.end()) != shares.end()) continue;
    ++asked;
    for (std::size_t s = 0; s < first.expert_of.size(); ++s)
      EXPECT_EQ(second.expert_of[s], expert_id{name[first.expert_of[s].index()]});
  }
  EXPECT_GT(asked, 300);
}

TEST(eplb, golden_vector) {
  // 90 / 2 = 45 is above 40, 40 above 30: counts 3, 2, 1; shares 30, 20, 20, 30: longest first onto
  // the emptiest of three ranks
  expert_layers const p{.experts = 3, .loads = {90, 40, 20}, .slots_per_rank = {2, 2, 2}};
  EXPECT_EQ(shunt::eplb{}(p).plan.expert_of, (std::vector<expert_id>{0, 1, 0, 1, 0, 2}));
  EXPECT_EQ(shunt::eplb{}(p).status, status::optimal);
  // the next replica of equals goes to the highest index, the first rank to the lowest
  expert_layers const q{.experts = 2, .loads = {10, 10}, .slots_per_rank = {2, 1}};
  EXPECT_EQ(shunt::eplb{}(q).plan.expert_of, (std::vector<expert_id>{0, 1, 1}));
}

TEST(eplb, hierarchical_keeps_groups_on_nodes) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 300; ++i) {
    expert_layers p{.layers = 2,
                    .experts = 16,
                    .loads = {},
                    .slots_per_rank = shunt::deal_slots(24, 8),
                    .ranks_per_node = 2,
                    .groups = 8};
    for (int l = 0; l < 2; ++l) {
      auto const row = random_loads(random, 16);
      p.loads.insert(p.loads.end(), row.begin(), row.end());
    }
    for (auto const& plan : {shunt::eplb{}(p).plan, shunt::balanced{.effort = 2000}(p).plan}) {
      ASSERT_TRUE(shunt::check(p, plan).empty());
      for (layer_id l : shunt::ids<layer_id>(2)) {
        std::vector<int> node(8, -1);
        for (std::size_t s = 0; s < 24; ++s) {
          auto const group = plan.layer(l)[s].index() / 2;
          auto const here = static_cast<int>(s / 6);
          if (node[group] < 0) node[group] = here;
          ASSERT_EQ(node[group], here);
        }
        for (int n = 0; n < 4; ++n) EXPECT_EQ(std::count(node.begin(), node.end(), n), 2);
      }
    }
  }
}

TEST(eplb, says_when_groups_find_no_node) {
  expert_layers const p{.experts = 4,
                        .loads = {1, 2, 3, 4},
                        .slots_per_rank = {3, 1},
                        .ranks_per_node = 1,
                        .groups = 2};
  EXPECT_EQ(shunt::eplb{}(p).status, status::infeasible);
  EXPECT_EQ(
      shunt::eplb{}(p).reason,
      "groups: no node has slots for a whole group of layer 0; without groups, experts may go to "
      "any node");
  EXPECT_EQ(shunt::balanced{}(p).status, status::infeasible);
}

/// The loads of EPLB's README; its answers where the nodes do not divide the groups.
TEST(eplb, takes_the_global_policy_where_nodes_do_not_divide_groups) {
  expert_layers p{.layers = 2,
                  .experts = 12,
                  .loads = {90, 132, 40,  61, 104, 165, 39,  4,   73,  56, 183, 86,
                            20, 107, 104, 64, 19,  197, 187, 157, 172, 86, 16,  27},
                  .slots_per_rank = shunt::deal_slots(16, 8)};
  auto const global = shunt::eplb{}(p);
  EXPECT_NEAR(shunt::max_over_mean(p.loads_of(0), global.plan, 0), 1.0726, 5e-5);
  EXPECT_NEAR(shunt::max_over_mean(p.loads_of(1), global.plan, 1), 1.1903, 5e-5);
  for (auto const& [nodes, groups] : {std::pair(2, 1), std::pair(2, 3), std::pair(4, 2)}) {
    p.ranks_per_node = 8 / nodes;
    p.groups = groups;
    EXPECT_EQ(shunt::eplb{}(p), global) << nodes << ' ' << groups;
    EXPECT_EQ(shunt::eplb{.keep_groups = true}(p).has_plan(), groups == 3);
  }
  p.ranks_per_node = 2;
  p.groups = 4;
  EXPECT_NEAR(shunt::max_over_mean(p.loads_of(0), shunt::eplb{}(p).plan, 0), 1.3746, 5e-5);
  EXPECT_EQ(shunt::eplb{.keep_groups = true}(p), shunt::eplb{}(p));
}

}  // namespace
}  // namespace shunt::tests::eplb_test
