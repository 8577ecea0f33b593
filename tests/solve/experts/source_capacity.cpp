#include "shunt/solve/experts/source_capacity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/random_cases.hpp"
#include "support/routed_iterations.hpp"

namespace shunt::tests::source_capacity_test {
namespace {

using row = std::vector<std::int64_t>;

/// Counts of ranks x experts on `uniform`'s slots.
routed_tokens on_uniform_slots(std::int32_t experts, std::int32_t slots_per_rank, row counts,
                               std::int64_t capacity = dropless) {
  auto const ranks = counts.size() / static_cast<std::size_t>(experts);
  expert_layers layers{.experts = experts,
                       .loads = row(static_cast<std::size_t>(experts), 1),
                       .slots_per_rank = std::vector<std::int32_t>(ranks, slots_per_rank)};
  return shunt::routed(uniform{}(layers).plan, 0, std::move(counts), capacity);
}

/// An independent judge of a split under rooms per source: what is wrong first, or nothing.
std::string fault(routed_tokens const& p, token_split const& plan, std::int64_t numerator,
                  std::int64_t denominator, std::int64_t least) {
  auto const experts = p.experts, slots = p.slots();
  if (plan.sources != p.ranks() || plan.slots != slots || plan.experts != experts) return "shape";
  for (std::int32_t i = 0; i < p.ranks(); ++i) {
    std::int64_t tokens = 0;
    for (std::int32_t e = 0; e < experts; ++e) tokens += p.count(i, e);
    auto const parts = experts * denominator;
    auto const room = std::max(least, (tokens * numerator + parts - 1) / parts);
    for (std::int32_t e = 0; e < experts; ++e) {
      std::int64_t sent = 0;
      int used = 0, nth = 0, found = -1;
      for (std::int32_t s = 0; s < slots; ++s) {
        if (p.expert_of[static_cast<std::size_t>(s)] != expert_id{e}) continue;
        if (plan.sent(i, s) < 0) return "negative";
        sent += plan.sent(i, s);
        used += plan.sent(i, s) > 0;
        if (plan.sent(i, s) > 0) found = nth;
        ++nth;
      }
      if (sent + plan.drops(i, e) != p.count(i, e)) return "not conserved";
      if (sent > room) return "over capacity";
      if (plan.drops(i, e) > 0 && sent < room) return "dropped with room";
      if (used > 1) return "leaves its group";
      if (used == 1 && found != p.first_slot[static_cast<std::size_t>(i)] / experts % nth)
        return "another group";
    }
  }
  return "";
}

struct vector_case {
  row counts;
  std::int64_t factor;
  row dropped;  // by source and expert
};

void expect(vector_case const& v, std::int64_t in_all) {
  source_capacity const rule{.factor = {v.factor, 1}};
  auto const p = on_uniform_slots(4, 2, v.counts);
  EXPECT_EQ(rule.room(16, 4), 4 * v.factor);
  auto const answer = shunt::solve(p, rule);
  EXPECT_EQ(answer.status, status::optimal);
  EXPECT_EQ(answer.objective, static_cast<double>(in_all));
  EXPECT_EQ(fault(p, answer.plan, v.factor, 1, 4), "");
  if (!v.dropped.empty()) {
    EXPECT_EQ(answer.plan.dropped, v.dropped);
  }
}
/// The same with the room of an expert's slots pooled over all sources.
std::int64_t pooled(row const& counts, std::int64_t factor) {
  auto const tokens = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  auto const p = on_uniform_slots(4, 2, counts, shunt::slot_capacity(tokens, 8, {factor, 1}));
  return static_cast<std::int64_t>(capacity_split{}(p).objective);
}

row const s1{10, 2, 3, 1, 1, 9, 4, 2, 4, 4, 4, 4, 16, 0, 0, 0};
row const s2{8, 8, 0, 0, 8, 8, 0, 0, 0, 0, 8, 8, 0, 0, 8, 8};
row const s3{3, 5, 5, 3, 3, 5, 5, 3, 3, 5, 5, 3, 3, 5, 5, 3};

TEST(source_capacity, golden_vector_S1) {
  expect({s1, 1, {6, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0}}, 23);
  expect({s1, 2, {2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0}}, 11);
  EXPECT_EQ(pooled(s1, 1), 15);
}

TEST(source_capacity, golden_vector_S2) {
  expect({s2, 1, {4, 4, 0, 0, 4, 4, 0, 0, 0, 0, 4, 4, 0, 0, 4, 4}}, 32);
  expect({s2, 2, row(16, 0)}, 0);
  EXPECT_EQ(pooled(s2, 1), 0);
}

TEST(source_capacity, golden_vector_S3) {
  expect({s3, 1, {0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0}}, 8);
  expect({s3, 2, row(16, 0)}, 0);
  EXPECT_EQ(pooled(s3, 1), 8);
}

TEST(source_capacity, sources_stay_in_their_group_of_consecutive_ranks) {
  // 4 experts, 2 slots a rank: ranks 0 and 1 are a group, and 2 and 3
  auto const p = on_uniform_slots(4, 2, s3);
  auto const plan = source_capacity{}(p).plan;
  for (std::int32_t i = 0; i < 4; ++i)
    for (std::int32_t s = 0; s < 8; ++s)
      EXPECT_EQ(plan.sent(i, s) > 0, s / 4 == i / 2) << i << " " << s;
}

TEST(source_capacity, keeps_its_laws) {
  std::mt19937_64 random(41);
  int dropping = 0, infeasible = 0;
  for (int i = 0; i < 3000; ++i) {
    auto const p = random_tokens(random);
    source_capacity const rule{.factor = {below(random, 9), 1 + below(random, 4)},
                               .min_capacity = below(random, 6)};
    auto const answer = rule(p);
    bool missing = false;
    for (std::int32_t e = 0; e < p.experts; ++e)
      for (std::int32_t r = 0; r < p.ranks(); ++r)
        missing = missing || (p.count(r, e) > 0 && std::find(p.expert_of.begin(), p.expert_of.end(),
                                                             expert_id{e}) == p.expert_of.end());
    ASSERT_EQ(answer.has_plan(), !missing) << "case " << i;
    infeasible += missing;
    if (missing) continue;
    ASSERT_EQ(
        fault(p, answer.plan, rule.factor.numerator, rule.factor.denominator, rule.min_capacity),
        "")
        << "case " << i;
    auto const dropped =
        std::accumulate(answer.plan.dropped.begin(), answer.plan.dropped.end(), std::int64_t{0});
    EXPECT_EQ(answer.objective, static_cast<double>(dropped));
    dropping += dropped > 0;
  }
  EXPECT_GT(dropping, 300);
  EXPECT_LT(infeasible, 2700);
}

TEST(source_capacity, a_pooled_room_drops_no_more_where_groups_divide) {
  std::mt19937_64 random(42);
  for (int i = 0; i < 300; ++i) {
    row counts(64, 0);  // 8 ranks of 16 tokens, 8 experts, 2 slots a rank
    for (std::size_t t = 0; t < 128; ++t)
      ++counts[t / 16 * 8 + static_cast<std::size_t>(below(random, 1 + below(random, 8)))];
    auto const own = source_capacity{.min_capacity = 0}(on_uniform_slots(8, 2, counts)).objective;
    auto const all = capacity_split{}(on_uniform_slots(8, 2, counts, 8)).objective;
    EXPECT_LE(all, own);
  }
}

TEST(source_capacity, rounds_up_and_never_below_the_least) {
  EXPECT_EQ((source_capacity{}.room(256, 16)), 16);
  EXPECT_EQ((source_capacity{}.room(257, 16)), 17);
  EXPECT_EQ((source_capacity{}.room(3, 16)), 4);
  EXPECT_EQ((source_capacity{.factor = {5, 4}}.room(256, 16)), 20);
  EXPECT_EQ((source_capacity{.factor = {5, 4}, .min_capacity = 30}.room(256, 16)), 30);
  EXPECT_EQ((source_capacity{.factor = {0, 1}, .min_capacity = 0}.room(256, 16)), 0);
}

/// The claimants of one expert that are kept in a source: of 6 the first 2.
std::vector<std::int64_t> kept_of_six(std::uint64_t seed, token_source const& of = {}) {
  std::vector<std::int32_t> const expert{0, 1, 0, 1, 0, 0, 1, 0, 0};
  auto all = random_claimants(expert, 2, 2, seed, of);
  std::erase_if(all, [&](std::int64_t t) { return expert[static_cast<std::size_t>(t)] == 1; });
  return all;
}

TEST(random_claimants, keeps_each_with_room_over_claimants) {
  // 6 claimants for 2 places: each is kept in a third of the draws, each pair in one of 15
  constexpr int draws = 6000;
  std::vector<std::int64_t> const claimants{0, 2, 4, 5, 7, 8};
  std::vector<int> kept(9, 0);
  std::vector<int> pairs(81, 0);
  for (int k = 0; k < draws; ++k) {
    // seeds, iterations, layers and sources all draw anew
    auto const n = static_cast<std::uint64_t>(k);
    auto const all = k % 4 == 0   ? kept_of_six(n)
                     : k % 4 == 1 ? kept_of_six(77, {.iteration = k})
                     : k % 4 == 2 ? kept_of_six(77, {.layer = k})
                                  : kept_of_six(77, {.source = k});
    ASSERT_EQ(all.size(), 2U);
    for (auto const t : all) ++kept[static_cast<std::size_t>(t)];
    ++pairs[static_cast<std::size_t>(all[0] * 9 + all[1])];
  }
  double single = 0, joint = 0;
  for (std::size_t a = 0; a < claimants.size(); ++a) {
    auto const at = static_cast<std::size_t>(claimants[a]);
    double const wanted = draws / 3.0;
    single += (kept[at] - wanted) * (kept[at] - wanted) / wanted;
    for (std::size_t b = a + 1; b < claimants.size(); ++b) {
      double const each = draws / 15.0,
                   off = pairs[at * 9 + static_cast<std::size_t>(claimants[b])] - each;
      joint += off * off / each;
    }
  }
  // 99.9 % of chi-square with 5 degrees of freedom, scaled for draws without replacement, and of
  // that with 14
  EXPECT_LT(single / 0.8, 20.5);
  EXPECT_LT(joint, 36.1);
}

TEST(random_claimants, is_the_same_for_the_same_seed) {
  EXPECT_EQ(kept_of_six(5), kept_of_six(5));
  int same = 0;
  for (std::uint64_t s = 0; s < 100; ++s) same += kept_of_six(s) == kept_of_six(s + 100);
  EXPECT_LT(same, 30);  // one in 15 by chance
}

TEST(random_claimants, keeps_all_where_there_is_room_and_none_where_there_is_none) {
  std::vector<std::int32_t> const expert{0, 1, 1, 0, 1};
  EXPECT_EQ(random_claimants(expert, 2, 3, 1, {}), (row{0, 1, 2, 3, 4}));
  EXPECT_EQ(random_claimants(expert, 2, 0, 1, {}), row{});
  EXPECT_EQ(random_claimants({}, 2, 3, 1, {}), row{});
  EXPECT_THROW(static_cast<void>(random_claimants(expert, 1, 3, 1, {})), std::invalid_argument);
}

TEST(source_capacity, says_what_is_wrong) {
  auto const why = [](source_capacity const& rule, routed_tokens const& p) -> std::string {
    try {
      auto const answer = rule(p);
      return answer.has_plan() ? "nothing" : std::string(answer.reason);
    } catch (invalid_problem const& e) {
      return e.what();
    }
  };
  auto p = on_uniform_slots(4, 2, s1);
  EXPECT_EQ(why({}, p), "nothing");
  EXPECT_EQ(why({.min_capacity = -1}, p), "min_capacity: must be at least 0, is -1");
  EXPECT_EQ(why({.factor = {-1, 1}}, p), "numerator: must be at least 0, is -1");
  EXPECT_EQ(why({.factor = {1, 0}}, p), "denominator: must be at least 1, is 0");
  p.counts[5] = -3;
  EXPECT_EQ(why({}, p), "counts[1][1]: must be at least 0 and below 2^31, is -3");
  p.counts.pop_back();
  EXPECT_EQ(why({}, p), "counts: has 15 values for 4 ranks x 4 experts");
  routed_tokens const homeless{
      .experts = 2, .counts = {1, 2}, .first_slot = {0, 1}, .expert_of = {0}};
  EXPECT_EQ(why({}, homeless), "expert_of: expert 1 has 2 tokens of rank 0 and no slot");
}

}  // namespace
}  // namespace shunt::tests::source_capacity_test
