#include "shunt/solve/pipeline/search/fed_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"
#include "shunt/solve/pipeline/search/dealt_stages.hpp"
#include "support/layer_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::fed_order_test {
namespace {

using namespace detail;

pipeline_job dealt(layer_job const& job, std::int32_t chunks) {
  dealt_stages const stages(job, chunks * job.ranks, chunks);
  return pipeline_job_of(job, ranges_of(stages.now().borders), stages.layout());
}

TEST(fed_order, the_schedule_is_valid_and_idles_what_is_told) {
  random_cases random(8);
  for (int n = 0; n < 40; ++n) {
    auto const ranks = random.roll(1, 5), chunks = random.roll(1, 4),
               microbatches = random.roll(1, 9);
    auto layers = random_layers(random, ranks * chunks + random.roll(0, 9), ranks, microbatches, 9);
    layers.transfer = random.roll(0, 4);
    auto const job = dealt(layers, chunks);
    fed_order fed(job);
    fed.run();
    chain_scheduler chain(job);
    ASSERT_EQ(static_cast<std::int64_t>(fed.sequence().size()), chain.operations());
    auto const plan = chain.schedule(fed.sequence(), false);
    EXPECT_EQ(lines(check(job, plan)), "");
    // a rank's end is its work and what it idled
    auto ends = fed.idle();
    for (std::int32_t s = 0; s < job.stages; ++s)
      ends[job.rank_of({0, s}).index()] +=
          microbatches *
          (job.costs.forward[s] + job.costs.backward_input[s] + job.costs.backward_weight[s]);
    EXPECT_EQ(*std::max_element(ends.begin(), ends.end()), makespan(job, plan));
  }
}

TEST(fed_order, goes_on_where_it_has_stopped) {
  random_cases random(9);
  auto const layers = random_layers(random, 20, 4, 12, 9);
  auto const job = dealt(layers, 4);
  fed_order whole(job), parts(job);
  whole.run();
  parts.run(100);
  EXPECT_LT(parts.sequence().size(), whole.sequence().size());
  auto const first = parts.sequence();
  EXPECT_TRUE(std::equal(first.begin(), first.end(), whole.sequence().begin()));
  parts.run();
  EXPECT_EQ(parts.sequence(), whole.sequence());
  EXPECT_EQ(parts.idle(), whole.idle());
}

// Rank 0 has stages 0 and 2, rank 1 stage 1, rank 2 stage 3, which is slow. Rank 1 runs out of
// forwards again and again, so that stage 0 goes before older micro-batches at stage 2.
TEST(fed_order, a_rank_without_forwards_is_fed_before_one_that_has_some) {
  pipeline_job const job{.stages = 4,
                         .microbatches = 8,
                         .costs = {.forward = {2, 1, 2, 9},
                                   .backward_input = {1, 1, 1, 1},
                                   .backward_weight = {1, 1, 1, 1}},
                         .layout = stage_layout::custom({0, 1, 0, 2})};
  fed_order fed(job);
  fed.run(18);
  std::vector<std::pair<std::int32_t, std::int32_t>> forwards;  // of rank 0: stage, micro-batch
  std::vector<std::int32_t> next(4, 0);
  for (auto const e : fed.sequence())
    if (e % 4 == 0) {
      auto const m = next[static_cast<std::size_t>(e / 4)]++;
      if (e / 4 < 2) forwards.emplace_back(2 * (e / 4), m);
    }
  std::vector<std::pair<std::int32_t, std::int32_t>> const expected{
      {0, 0}, {0, 1}, {2, 0}, {2, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}};
  EXPECT_EQ(forwards, expected);
}

// Against the rule of an old micro-batch and an early stage alone.
TEST(fed_order, idles_less_than_the_oldest_first_at_the_start) {
  ticks fed_idle = 0, old_idle = 0;
  for (unsigned seed = 0; seed < 6; ++seed) {
    random_cases random(seed);
    auto const job = dealt(random_layers(random, 64, 8, 24, 20), 6);
    fed_order fed(job);
    fed.run();
    for (ticks const t : fed.idle()) fed_idle += t;
    chain_scheduler chain(job);
    std::vector<position_costs> costs;
    chain_rules rules;
    rules.slope = 1'000;
    for (std::size_t q = 0; q < chain.positions(); ++q) {
      auto const s = chain.at(q).stage;
      costs.push_back(
          {job.costs.forward[s], job.costs.backward_input[s], job.costs.backward_weight[s], 0, 0});
      ticks before = 0;
      for (std::int32_t t = 0; t < s.value(); ++t) before += job.costs.forward[t];
      rules.positions.push_back(
          {.forward = 3 * before, .input = -100'000 - s.value(), .weight = 1'000'000 + s.value()});
    }
    chain.use(costs);
    chain.run_listed(rules);
    for (std::size_t r = 0; r < 8; ++r) old_idle += chain.idle(r);
  }
  EXPECT_LT(fed_idle * 10, old_idle * 9);
}

}  // namespace
}  // namespace shunt::tests::fed_order_test
