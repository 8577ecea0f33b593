#include "shunt/solve/pipeline/ring_one_f_one_b.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::ring_one_f_one_b_test {
namespace {

TEST(ring_one_f_one_b, is_1f1b_where_every_rank_has_one_stage) {
  random_cases d(3);
  for (int round = 0; round < 200; ++round) {
    pipeline_job const job{.pipelines = d.roll(1, 3),
                           .stages = d.roll(1, 7),
                           .microbatches = d.roll(1, 9),
                           .costs = {1, 1, 1, 2}};
    EXPECT_EQ(ring_one_f_one_b::order(job), one_f_one_b{}.order(job));
  }
}

// Pairs of neighbours anywhere in the ring, the last and the first stage among them.
TEST(ring_one_f_one_b, schedules_pass_the_check_wherever_the_pairs_are) {
  random_cases d(4);
  int across = 0;
  for (int round = 0; round < 300; ++round) {
    pipeline_job job{.pipelines = d.roll(1, 3),
                     .stages = d.roll(2, 7),
                     .microbatches = d.roll(1, 9),
                     .costs = {1, 1, 1, 2}};
    std::vector<rank_id> ranks;
    std::int32_t next = 0;
    for (std::int32_t p = 0; p < job.pipelines; ++p) {
      auto const begin = ranks.size();
      auto const stages = static_cast<std::size_t>(job.stages);
      for (std::size_t s = 0; s < stages; ++s) ranks.push_back(next++);
      for (std::size_t s = d.roll(0, 1) ? stages - 1 : 0, n = 0; n + 2 <= stages; ++n) {
        auto const at = (s + n) % stages;
        if (d.roll(0, 2) > 0) continue;
        ranks[begin + (at + 1) % stages] = ranks[begin + at];
        across += at + 1 == stages;
        ++n;
      }
    }
    auto numbers = ranks;
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (auto& r : ranks) r = std::lower_bound(numbers.begin(), numbers.end(), r) - numbers.begin();
    job.layout = stage_layout::custom(std::move(ranks));
    auto const answer = ring_one_f_one_b{}(job);
    ASSERT_TRUE(answer.has_plan()) << answer.reason.view();
    ASSERT_EQ(lines(check(job, answer.plan)), "") << round;
  }
  EXPECT_GT(across, 20);
}

TEST(ring_one_f_one_b, refuses_other_ranks) {
  pipeline_job job{.pipelines = 1, .stages = 4, .microbatches = 2};
  auto const refused = [&](std::vector<rank_id> ranks) {
    job.layout = stage_layout::custom(std::move(ranks));
    return field_of([&] { (void)ring_one_f_one_b{}(job); });
  };
  EXPECT_EQ(refused({0, 1, 0, 2}), "layout");
  EXPECT_EQ(refused({0, 0, 0, 1}), "layout");
  EXPECT_EQ(refused({0, 1, 2, 0}), "nothing thrown");
}

}  // namespace
}  // namespace shunt::tests::ring_one_f_one_b_test
