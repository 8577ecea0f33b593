#include "shunt/solve/pipeline/search/dealt_stages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::dealt_stages_test {
namespace {

// The ends of the ranks from the borders and the layout alone.
std::vector<ticks> ends_of(layer_job const& job, detail::dealt_stages const& dealt,
                           std::vector<ticks> ends) {
  auto const ranks = dealt.layout().ranks_of_workers();
  for (std::size_t s = 0; s < ranks.size(); ++s)
    for (auto l = dealt.borders()[s]; l < dealt.borders()[s + 1]; ++l) {
      auto const& own = job.layers[static_cast<std::size_t>(l)];
      ends[ranks[s].index()] +=
          job.microbatches * (own.forward + own.backward_input + own.backward_weight);
    }
  return ends;
}

TEST(dealt_stages, all_layers_are_dealt_and_balanced_against_what_ranks_idle) {
  random_cases random(6);
  int earlier = 0;
  for (int n = 0; n < 30; ++n) {
    auto const ranks = random.roll(2, 6), chunks = random.roll(2, 6);
    auto const layers = ranks * chunks + random.roll(0, 20);
    auto const job = random_layers(random, layers, ranks, 8, 20, random.roll(1, 8));
    detail::dealt_stages dealt(job, ranks * random.roll(1, chunks), chunks);
    if (!dealt.complete()) continue;
    std::vector<ticks> idle;
    for (int r = 0; r < ranks; ++r) idle.push_back(random.roll(0, 300));
    auto const before = ends_of(job, dealt, idle);
    dealt.balance(idle, 2'000);
    ASSERT_TRUE(dealt.complete());
    EXPECT_EQ(dealt.borders().front(), 0);
    EXPECT_EQ(dealt.borders().back(), layers);
    EXPECT_TRUE(std::is_sorted(dealt.borders().begin(), dealt.borders().end(),
                               [](auto a, auto b) { return a <= b; }));
    EXPECT_NO_THROW(
        validate(dealt.layout(), 1, static_cast<std::int32_t>(dealt.borders().size()) - 1));
    auto const after = ends_of(job, dealt, idle);
    auto const last = [](auto const& ends) { return *std::max_element(ends.begin(), ends.end()); };
    EXPECT_LE(last(after), last(before));
    earlier += last(after) < last(before);
    auto const starts = dealt.starts();
    EXPECT_EQ(*std::min_element(starts.begin(), starts.end()), 0);
  }
  EXPECT_GE(earlier, 10);
}

TEST(dealt_stages, a_long_last_layer_has_a_rank_that_takes_little_else) {
  std::vector<std::vector<ticks>> costs(32, {2, 2, 2});
  costs.push_back({40, 40, 40});
  auto const job = layers_of(costs, 4, 8);
  detail::dealt_stages dealt(job, 16, 8);
  ASSERT_TRUE(dealt.complete());
  std::vector<ticks> const idle(4, 0);
  dealt.balance(idle, 2'000);
  auto const ends = ends_of(job, dealt, idle);
  EXPECT_EQ(*std::max_element(ends.begin(), ends.end()), 8 * 120);
}

}  // namespace
}  // namespace shunt::tests::dealt_stages_test
