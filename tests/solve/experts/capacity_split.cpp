#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/token_split.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/random_cases.hpp"
#include "support/routed_iterations.hpp"

namespace shunt::tests::capacity_split_test {
namespace {

/// What of `rest` may go to a slot with `room` of `all`: no less than its share, rounded down, less
/// one.
TEST(capacity_split, shares_out_the_rest_in_proportion_to_the_room_left) {
  std::mt19937_64 random(32);
  for (int i = 0; i < 2000; ++i) {
    auto const experts = static_cast<std::int32_t>(1 + below(random, 5)),
               ranks = static_cast<std::int32_t>(1 + below(random, 12));
    auto const placement =
        random_placement_in_order_or_none(random, 1, experts, random_ranks(random, ranks, experts));
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

TEST(capacity_split, no_split_drops_less_or_keeps_more_at_home) {
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

TEST(capacity_split, keeps_its_laws) {
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

TEST(capacity_split, drops_what_the_measure_foretells) {
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

TEST(capacity_split, golden_case) {
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

TEST(capacity_split, single_tokens_of_many_sources_spread_out) {
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

TEST(capacity_split, large_counts_stay_exact) {
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

TEST(capacity_split, an_expert_without_a_slot) {
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

}  // namespace
}  // namespace shunt::tests::capacity_split_test
