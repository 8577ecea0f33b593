#include "shunt/measure/detail/shared_pace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "support/random_cases.hpp"

namespace shunt::tests::shared_pace_test {
namespace {

struct rank_case {
  ticks besides;
  std::vector<ticks> cost;
};

// Every way to give each unit of each stage to a rank that holds it.
ticks brute_force(std::vector<rank_case> const& ranks, std::size_t stages, std::int64_t units) {
  std::vector<ticks> busy;
  for (auto const& r : ranks) busy.push_back(r.besides);
  ticks least = std::numeric_limits<ticks>::max();
  std::function<void(std::size_t, std::int64_t)> give = [&](std::size_t stage, std::int64_t unit) {
    if (stage == stages) {
      // A rank that does nothing counts what it spends besides where it does anything else.
      ticks most = 0;
      for (std::size_t r = 0; r < ranks.size(); ++r)
        if (busy[r] > ranks[r].besides) most = std::max(most, busy[r]);
      least = std::min(least, most);
      return;
    }
    auto const next = unit + 1 == units ? stage + 1 : stage;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      if (ranks[r].cost[stage] == 0) continue;
      busy[r] += ranks[r].cost[stage];
      give(next, unit + 1 == units ? 0 : unit + 1);
      busy[r] -= ranks[r].cost[stage];
    }
  };
  give(0, 0);
  return least;
}

TEST(shared_pace, no_way_to_share_work_with_slow_ranks_beats_it) {
  random_cases d(4);
  int cases = 0, tight = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    auto const stages = static_cast<std::size_t>(d.roll(1, 3));
    std::int64_t const units = d.roll(1, stages == 3 ? 2 : 3), part = d.roll(1, 3);
    std::vector<ticks> base;
    for (std::size_t s = 0; s < stages; ++s) base.push_back(d.roll(1, 6));
    std::vector<rank_case> ranks;
    for (int r = 0; r < 3; ++r) {
      rank_case one{d.roll(0, 4), {}};
      std::int64_t const factor = d.roll(1, 3);
      for (std::size_t s = 0; s < stages; ++s)
        one.cost.push_back(r > 0 && d.roll(0, 4) == 0 ? 0 : base[s] * factor);
      ranks.push_back(one);
    }
    auto scaled = ranks;
    for (auto& r : scaled)
      for (auto& c : r.cost) c *= part;
    ticks const exact = brute_force(scaled, stages, units);
    detail::priced_work work(stages, units * part, part);
    for (auto const& r : ranks) work.add(r.besides, r.cost);
    EXPECT_LE(work.least(), exact);
    ++cases;
    tight += work.least() == exact;
    if (stages > 1) continue;
    detail::shared_pace one{.units = units * part, .part = part};
    for (auto& r : scaled) r.besides = 0;
    for (auto const& r : ranks)
      if (r.cost[0] > 0) one.pace.push_back(r.cost[0]);
    EXPECT_EQ(one.least(), brute_force(scaled, 1, units));
  }
  EXPECT_GT(tight * 10, cases * 6);
}

TEST(shared_pace, large_times_do_not_overflow) {
  ticks const huge = std::int64_t{1} << 40;
  detail::priced_work work(2, 1 << 20, 1);
  work.add(huge, {huge, huge + 1});
  work.add(0, {2 * huge + 1, huge});
  EXPECT_GE(work.least(), huge);
  EXPECT_LE(work.least(), std::int64_t{1} << 61);
  EXPECT_EQ(detail::priced_work(2, 5, 1).least(), 0);
  EXPECT_EQ(detail::shared_pace{}.least(), 0);
}

}  // namespace
}  // namespace shunt::tests::shared_pace_test
