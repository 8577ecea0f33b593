#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_policies.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::swift_moe_test {
namespace {

using counts_list = std::vector<std::int32_t>;

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

TEST(swift_moe, golden_vectors) {
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

TEST(swift_moe, counts_equal_the_papers_loop) {
  std::mt19937_64 random(1);
  int lifted = 0;
  for (int i = 0; i < 20000; ++i) {
    auto const p = random_layers_of_many_shapes(random, i % 10 == 0 ? 60 : 8);
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

TEST(swift_moe, laws_of_the_notes) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 5000; ++i) {
    auto const p = random_layers_of_many_shapes(random, 20);
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

TEST(swift_moe, a_layer_with_no_tokens_gets_equal_counts) {
  expert_layers const p{
      .layers = 2, .experts = 3, .loads = {0, 0, 0, 0, 0, 9}, .slots_per_rank = {4, 4}};
  auto const plan = shunt::swift_moe{}(p).plan;
  EXPECT_EQ(shunt::replica_counts(plan, 0).items(), (counts_list{3, 3, 2}));
  EXPECT_EQ(shunt::replica_counts(plan, 1).items(), (counts_list{1, 1, 6}));
}

TEST(swift_moe, large_loads_stay_exact) {
  std::int64_t const much = (std::int64_t{1} << 62) / 20 -
                            10;  // the sum of two times (8 slots + 2 experts) is just below 2^62
  auto const plan = shunt::swift_moe{}(one_layer({much, much}, {4, 4})).plan;
  EXPECT_EQ(shunt::replica_counts(plan, 0).items(), (counts_list{4, 4}));
  auto const skewed = shunt::swift_moe{}(one_layer({2 * much - 1, 1}, {4, 4})).plan;
  EXPECT_EQ(shunt::replica_counts(skewed, 0).items(), (counts_list{7, 1}));
}

}  // namespace
}  // namespace shunt::tests::swift_moe_test
