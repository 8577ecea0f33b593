#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "shunt/solve/pipeline/search/routes.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::routes_test {
namespace {

using namespace detail;

TEST(routes, no_live_rank_gets_more_than_its_share) {
  random_cases d(12);
  for (int round = 0; round < 300; ++round) {
    auto job = random_job_with_failures(d, round % 2 == 1);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    for (auto const rule : {routing::by_load, routing::round_robin, routing::pooled}) {
      routes const to(job, rule, d.roll(0, 3));
      for (stage_id s : ids<stage_id>(job.stages)) {
        std::map<rank_id, std::int32_t> load, own;
        for (pipeline_id p : ids<pipeline_id>(job.pipelines))
          for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
            pipeline_id const host = to.host(p, s, m);
            EXPECT_TRUE(job.alive(worker{host, s}));
            if (job.alive(worker{p, s}) && rule != routing::pooled) {
              EXPECT_EQ(host, p);
            }
            ++load[job.rank_of({host, s})];
            own[job.rank_of({host, s})] += host == p;
          }
        if (job.layout.form() == stage_layout::shape::custom) continue;  // may hold a stage twice
        auto const share = ceil_divide(job.total_microbatches(),
                                       static_cast<std::int32_t>(job.live_holders(s).size()));
        if (rule == routing::round_robin && !job.microbatches.uniform()) continue;
        for (auto const& [rank, count] : load) EXPECT_LE(count, std::max(share, own[rank]));
      }
    }
  }
}

TEST(routes, shares_are_in_proportion_to_speed) {
  pipeline_job job{.pipelines = 4, .stages = 1, .microbatches = 12};
  job.costs.forward = {2, 4, 2, 1};
  job.costs.backward_input = {2, 4, 2, 1};
  job.costs.backward_weight = {2, 4, 2, 1};
  auto const shares = [&](routing rule) {
    routes const to(job, rule);
    std::vector<std::int32_t> of(4, 0);
    for (pipeline_id p : ids<pipeline_id>(4))
      for (microbatch_id m : ids<microbatch_id>(12)) ++of[to.host(p, 0, m).index()];
    return of;
  };
  for (auto const rule : {routing::by_load, routing::pooled}) {
    EXPECT_EQ(shares(rule)[1] * 4, shares(rule)[3] - shares(rule)[3] % 4);
    EXPECT_NEAR(shares(rule)[0], shares(rule)[2], 1);
    EXPECT_NEAR(shares(rule)[3], 2 * shares(rule)[0], 2);
  }
  EXPECT_EQ(shares(routing::own), (std::vector<std::int32_t>(4, 12)));
  EXPECT_EQ(shares(routing::round_robin), (std::vector<std::int32_t>(4, 12)));
  job.dead = {{0, 0}};
  EXPECT_EQ(shares(routing::by_load), (std::vector<std::int32_t>{0, 6, 14, 28}));
}

TEST(routes, longer_micro_batches_count_for_more) {
  pipeline_job job{.pipelines = 2, .stages = 1, .microbatches = 3};
  job.lengths = {6, 1, 1, 2, 1, 1};
  routes const to(job);
  std::vector<std::int64_t> work(2, 0);
  for (pipeline_id p : ids<pipeline_id>(2))
    for (microbatch_id m : ids<microbatch_id>(3))
      work[to.host(p, 0, m).index()] += job.length_of(p, m);
  EXPECT_EQ(work, (std::vector<std::int64_t>{6, 6}));
}

TEST(routes, by_load_prefers_the_cheaper_links) {
  // two nodes of two pipelines each: those next to the dead worker have room for half of its
  // micro-batches
  pipeline_job const job{
      .pipelines = 4, .stages = 2, .microbatches = 6, .transfer = {1, 50, 4}, .dead = {{0, 1}}};
  routes const to(job);
  int near = 0;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches[0])) near += to.host(0, 1, m) == 1;
  EXPECT_EQ(near, 2);  // ceil(24 / 3) - 6 of its own
}

// 12 micro-batches, of which the dead worker has 5: live ones end with 4 each, the own ones
// included.
TEST(routes, by_load_evens_out_different_numbers_of_microbatches) {
  pipeline_job const job{
      .pipelines = 4, .stages = 2, .microbatches = {5, 3, 1, 3}, .dead = {{0, 1}}};
  routes const to(job);
  std::vector<int> load = {0, 3, 1, 3};
  for (microbatch_id m : ids<microbatch_id>(5)) ++load[to.host(0, 1, m).index()];
  EXPECT_EQ(load, (std::vector<int>{0, 4, 4, 4}));
}

// Stage 0 of the dead rank goes to a rank with that stage alone, and to one that has all three.
TEST(routes, by_load_counts_the_other_stages_of_unlike_ranks) {
  pipeline_job const job{.pipelines = 3,
                         .stages = 3,
                         .microbatches = {4, 4, 2},
                         .dead = {{0, 0}},
                         .layout = stage_layout::custom({0, 1, 1, 2, 3, 3, 4, 4, 4})};
  routes const to(job);
  std::vector<int> load(3, 0);
  for (microbatch_id m : ids<microbatch_id>(4)) ++load[to.host(0, 0, m).index()];
  EXPECT_EQ(load, (std::vector<int>{0, 3, 1}));  // of 12 and 18 ticks: 21 and 21
}

}  // namespace
}  // namespace shunt::tests::routes_test
