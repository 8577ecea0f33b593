#include "shunt/solve/pipeline/search/dealt_stages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::dealt_stages_test {
namespace {

// The work of the ranks from the borders and the layout alone.
std::vector<ticks> work_of(layer_job const& job, detail::dealt_stages const& dealt) {
  std::vector<ticks> work(static_cast<std::size_t>(job.ranks), 0);
  auto const ranks = dealt.layout().ranks_of_workers();
  auto const& borders = dealt.now().borders;
  for (std::size_t s = 0; s < ranks.size(); ++s)
    for (auto l = borders[s]; l < borders[s + 1]; ++l) {
      auto const& own = job.layers[static_cast<std::size_t>(l)];
      work[ranks[s].index()] +=
          job.microbatches * (own.forward + own.backward_input + own.backward_weight);
    }
  return work;
}

ticks last_end(detail::dealt_stages const& dealt, std::vector<ticks> const& more) {
  auto const work = dealt.work(), idle = dealt.expected_idle();
  ticks last = 0;
  for (std::size_t r = 0; r < work.size(); ++r)
    last = std::max(last, work[r] + 2 * idle[r] + more[r]);
  return last;
}

TEST(dealt_stages, all_layers_are_dealt_and_ranks_end_earlier) {
  random_cases random(6);
  int earlier = 0;
  for (int n = 0; n < 30; ++n) {
    auto const ranks = random.roll(2, 6), chunks = random.roll(2, 6);
    auto const layers = ranks * chunks + random.roll(0, 20);
    auto const microbatches = random.roll(1, 8);
    auto const job = random_layers(random, layers, ranks, microbatches, 20);
    detail::dealt_stages dealt(job, ranks * random.roll(1, chunks), chunks);
    if (!dealt.complete()) continue;
    std::vector<ticks> more;
    for (int r = 0; r < ranks; ++r) more.push_back(random.roll(0, 300));
    auto const before = dealt.now();
    auto const end = last_end(dealt, more);
    dealt.improve(more, 2, 2'000);
    ASSERT_TRUE(dealt.complete());
    auto const& borders = dealt.now().borders;
    EXPECT_EQ(borders.front(), 0);
    EXPECT_EQ(borders.back(), layers);
    EXPECT_EQ(
        std::adjacent_find(borders.begin(), borders.end(), [](auto a, auto b) { return a >= b; }),
        borders.end());
    EXPECT_NO_THROW(validate(dealt.layout(), 1, static_cast<std::int32_t>(borders.size()) - 1));
    EXPECT_EQ(dealt.work(), work_of(job, dealt));
    earlier += last_end(dealt, more) < end;
    dealt.restore(before);
    EXPECT_EQ(dealt.now().borders, before.borders);
    EXPECT_EQ(dealt.work(), work_of(job, dealt));
    EXPECT_EQ(last_end(dealt, more), end);
  }
  EXPECT_GE(earlier, 15);
}

// Forwards of 6, 6, 12, 12 on ranks 0, 1, 0, 1: rank 0 has its part until 1.2 t / 2 > 6, which is
// from t = 12 on where its next stage is, and then 18 until t = 30: it lacks 1 - 18 / 1.2 / (t / 2)
// from there. Rank 1 waits for t = 6 and again from 12 to 24, for 1 - 6 / (1.2 t / 2).
TEST(dealt_stages, a_rank_idles_while_it_has_less_forwards_than_its_part) {
  auto const job = layers_of({{6, 0, 0}, {6, 0, 0}, {12, 0, 0}, {12, 0, 0}}, 2, 4);
  detail::dealt_stages const dealt(job, 4, 2);
  EXPECT_EQ(dealt.now().rank_of, (std::vector<std::size_t>{0, 1, 0, 1}));
  // by layers: rank 1 idles 6, and the third layer's 12 ticks x (1 - 6 / (0.6 x 12)) = 2
  EXPECT_EQ(dealt.expected_idle(), (std::vector<ticks>{0, 8}));
}

TEST(dealt_stages, a_long_last_layer_has_a_rank_that_takes_little_else) {
  std::vector<std::vector<ticks>> costs(32, {2, 2, 2});
  costs.push_back({40, 40, 40});
  auto const job = layers_of(costs, 4, 8);
  detail::dealt_stages dealt(job, 16, 8);
  ASSERT_TRUE(dealt.complete());
  dealt.improve(std::vector<ticks>(4, 0), 0, 2'000);
  auto const work = work_of(job, dealt);
  EXPECT_EQ(*std::max_element(work.begin(), work.end()), 8 * 120);
}

TEST(dealt_stages, ticks_of_any_size_are_dealt_alike) {
  random_cases random(3);
  auto job = random_layers(random, 40, 4, 16, 20);
  detail::dealt_stages small(job, 16, 8);
  int const up = 46;  // the times of an iteration are then near 2^61
  for (auto& l : job.layers) {
    l.forward <<= up;
    l.backward_input <<= up;
    l.backward_weight <<= up;
  }
  ASSERT_NO_THROW(validate(job));
  detail::dealt_stages large(job, 16, 8);
  std::vector<ticks> const none(4, 0);
  small.improve(none, 2, 3'000);
  large.improve(none, 2, 3'000);
  auto const ends = small.work(), ends_large = large.work();
  auto const last = *std::max_element(ends.begin(), ends.end());
  auto const last_large = *std::max_element(ends_large.begin(), ends_large.end()) >> up;
  EXPECT_NEAR(static_cast<double>(last_large), static_cast<double>(last),
              0.05 * static_cast<double>(last));
}

}  // namespace
}  // namespace shunt::tests::dealt_stages_test
