#include "shunt/solve/pipeline/search/border_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::border_search_test {
namespace {

TEST(border_search, few_layers_are_cut_in_every_way_and_no_order_beats_the_value) {
  random_cases random(5);
  for (int n = 0; n < 30; ++n) {
    auto const ranks = random.roll(1, 3), layers = random.roll(ranks, 8);
    auto job = random_layers(random, layers, ranks, random.roll(1, 5), 9);
    job.transfer = random.roll(0, 2);
    for (auto const& of : layouts_of(job)) {
      detail::border_search search(job, of.first, of.second);
      auto least = std::numeric_limits<ticks>::max();
      each_cut(layers, of.second, [&](auto const& cut) {
        detail::stage_borders borders{0};
        for (auto const& s : cut) borders.push_back(s.end);
        EXPECT_EQ(detail::ranges_of(borders), cut);
        auto const value = search.value_of(borders).makespan;
        least = std::min(least, value);
        auto const made = pipeline_job_of(job, cut, of.first);
        if (n < 10) {
          EXPECT_LE(value, makespan(made, zero_bubble{.effort = 2'000}(made).plan));
        }
      });
      EXPECT_EQ(search.best(3, 1'000).front().first.makespan, least);
    }
  }
}

TEST(border_search, many_layers_are_cut_no_worse_than_evenly_or_balanced) {
  random_cases random(9);
  auto const job = random_layers(random, 60, 4, 16, 20, 3);
  for (auto const& layout :
       {stage_layout::linear(), stage_layout::looped(3), stage_layout::wave(2)}) {
    detail::border_search search(job, layout, 4 * layout.chunks());
    auto const found = search.best(5, 2'000);
    ASSERT_FALSE(found.empty());
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end(),
                               [](auto const& a, auto const& b) { return a.first < b.first; }));
    EXPECT_LE(found.front().first, search.value_of(search.balanced()));
    EXPECT_LE(found.front().first, search.value_of(search.even()));
    for (auto const& [value, borders] : found) EXPECT_EQ(search.value_of(borders), value);
  }
}

}  // namespace
}  // namespace shunt::tests::border_search_test
