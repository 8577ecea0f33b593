#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"
#include "support/text.hpp"

namespace shunt::tests::chain_scheduler_test {
namespace {

using namespace detail;

TEST(chain_scheduler, chains_go_from_stage_to_stage) {
  pipeline_job const job{
      .pipelines = 2, .stages = 4, .microbatches = 3, .layout = stage_layout::v_shaped()};
  chain_scheduler const chain(job);
  EXPECT_EQ(chain.operations(), 2 * 4 * 3 * 3);
  EXPECT_EQ(chain.too_small(), -1);
  std::size_t const q = 0;
  EXPECT_EQ(chain.at(q), (worker{0, 0}));
  EXPECT_EQ(chain.previous(q), -1);
  EXPECT_EQ(chain.at(static_cast<std::size_t>(chain.next(q))), (worker{0, 1}));
  EXPECT_EQ(chain.rank_of(static_cast<std::size_t>(chain.next(q))), 1u);
}

TEST(chain_scheduler, a_replayed_order_has_the_makespan_of_its_schedule) {
  for (std::int64_t const cap : {2, 3, 8}) {
    pipeline_job const job{.stages = 4,
                           .microbatches = 6,
                           .costs = {.forward = {3, 1, 2, 4},
                                     .backward_input = {2, 2, 5, 1},
                                     .backward_weight = {1, 3, 0, 2}},
                           .memory = stash_cap::per_worker(cap)};
    chain_scheduler chain(job);
    std::vector<position_costs> costs;
    for (stage_id s : ids<stage_id>(4))
      costs.push_back(
          {job.costs.forward[s], job.costs.backward_input[s], job.costs.backward_weight[s], 0, 0});
    chain.use(costs);
    chain_rules rules;
    rules.positions.resize(4, {.forward = 0, .input = -1, .weight = 1});
    chain.run_listed(rules);
    auto const sequence = chain.sequence();
    chain.replay(sequence);
    auto const plan = chain.schedule(sequence, false);
    EXPECT_EQ(lines(check(job, plan)), "");
    EXPECT_EQ(chain.makespan(), makespan(job, plan));
    EXPECT_TRUE(chain.run_ordered(chain.order(true), 0));
    EXPECT_EQ(chain.makespan(), makespan(job, plan));
  }
}

TEST(chain_scheduler, a_rank_that_cannot_stash_one_micro_batch_is_named) {
  EXPECT_EQ(chain_scheduler({.stages = 4,
                             .microbatches = 1,
                             .memory = stash_cap::per_rank({2, 1}),
                             .layout = stage_layout::v_shaped()})
                .too_small(),
            1);
}

}  // namespace
}  // namespace shunt::tests::chain_scheduler_test
