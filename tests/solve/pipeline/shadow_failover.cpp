#include "shunt/solve/pipeline/shadow_failover.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/shadow_takeover.hpp"
#include "shunt/measure/pipeline.hpp"
#include "support/redundancy.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::shadow_failover_test {
namespace {

pipeline_job lost(pipeline_job job, std::vector<worker> dead) {
  job.dead = std::move(dead);
  return job;
}

// The commands of the authors' engine, S = 3, M = 3, failed at step 4 of their count.
TEST(bamboo_failover, orders_of_the_authors_engine) {
  shadow_failover const at_4{.lockstep = 4};
  auto const first = at_4(lost(bamboo_job(3, 3), {{0, 1}}));
  EXPECT_EQ(first.plan.shadow, (worker{0, 0}));
  EXPECT_EQ(shown(first.plan.resumed), "F0@1 F1@1 B0@1 F2@0 B0@0 F2@1 B1@1 B1@0 B2@1 B2@0 S@0 S@1");
  auto const second = at_4(lost(bamboo_job(3, 3), {{0, 2}}));
  EXPECT_EQ(second.plan.shadow, (worker{0, 1}));
  EXPECT_EQ(shown(second.plan.resumed),
            "F0@2 B0@2 B0@1 F1@2 B1@2 F2@1 B1@1 F2@2 B2@2 B2@1 S@1 S@2");
  for (auto const& plan : {first.plan, second.plan}) EXPECT_TRUE(plan.reused.empty());
}

// Redundant forwards of steps before the loss are not repeated, backwards are.
TEST(bamboo_failover, what_is_reused_and_repeated_by_hand) {
  auto const job = lost(bamboo_job(3, 3), {{0, 1}});
  auto const plan = shadow_failover{.lockstep = 8}(job).plan;
  EXPECT_EQ(shown(plan.reused), "F0@1 F1@1");
  EXPECT_EQ(shown(plan.resumed), "B0@1 F2@1 B1@1 B2@1 B2@0 S@0 S@1");
  EXPECT_EQ(lines(check(job, 8, plan)), "");
  auto const done = shadow_failover{.lockstep = 10}(job).plan;
  EXPECT_EQ(shown(done.reused), "F0@1 F1@1 F2@1");
  EXPECT_EQ(shown(done.resumed), "B0@1 B1@1 B2@1 S@0 S@1");
  // The shadow of stage 0 makes no redundant forwards.
  auto const ring = shadow_failover{.lockstep = 8}(lost(bamboo_job(3, 3), {{0, 0}})).plan;
  EXPECT_EQ(ring.shadow, (worker{0, 2}));
  EXPECT_TRUE(ring.reused.empty());
  EXPECT_EQ(shown(ring.resumed), "F0@0 F1@0 F2@0 B0@0 B1@0 B2@0 S@2 S@0");
}

// 3 S + 6 (M - 1) where the last two stages meet; where others do, the first micro-batch's way
// behind them hides forwards.
TEST(bamboo_failover, makespans_of_the_following_iterations) {
  for (auto const& [stages, microbatches] : std::vector<std::pair<std::int32_t, std::int32_t>>{
           {2, 4}, {3, 3}, {4, 4}, {4, 12}, {5, 7}, {6, 12}, {8, 32}})
    for (std::int32_t s = 1; s < stages; ++s) {
      auto const job = lost(bamboo_job(stages, microbatches), {{0, s}});
      auto const answer = shadow_failover{}(job);
      EXPECT_EQ(lines(check(job, 0, answer.plan)), "");
      EXPECT_EQ(makespan(answer.plan.job, answer.plan.schedule),
                3 * stages + 6 * (microbatches - 1) - 2 * (stages - 1 - s))
          << stages << ' ' << microbatches << ' ' << s;
    }
  auto const pair = shadow_failover{}(lost(bamboo_job(4, 12), {{0, 3}}));
  EXPECT_EQ(pair.objective, 78);
  auto const ends = shadow_failover{}(lost(bamboo_job(4, 12), {{0, 0}}));
  EXPECT_EQ(ends.objective, 75);
}

TEST(bamboo_failover, the_shadow_has_two_stages) {
  auto job = lost(bamboo_job(4, 3), {{1, 2}});
  job.pipelines = 2;
  job.costs.step = 2;
  auto const answer = shadow_failover{}(job);
  EXPECT_EQ(answer.plan.survivors, (std::vector<rank_id>{0, 1, 2, 3, 4, 5, 7}));
  EXPECT_EQ(answer.plan.job.layout, stage_layout::custom({0, 1, 2, 3, 4, 5, 5, 6}));
  EXPECT_EQ(answer.plan.job.stages_of(5), (std::vector<stage_id>{1, 2}));
  EXPECT_TRUE(answer.plan.job.dead.empty());
  EXPECT_EQ(lines(check(answer.plan.job, answer.plan.schedule)), "");
  EXPECT_EQ(shown(answer.plan.schedule.order[0]), "F0@0 F1@0 F2@0 B0@0 B1@0 B2@0 S@0");
}

TEST(bamboo_failover, fatal_losses_say_why) {
  auto const reason = [](std::int32_t stages, std::vector<worker> dead) {
    auto job = lost(bamboo_job(stages, 3), std::move(dead));
    job.pipelines = 2;
    auto const answer = shadow_failover{}(job);
    EXPECT_EQ(answer.status, status::infeasible);
    EXPECT_TRUE(answer.plan.resumed.empty());
    return std::string(answer.reason);
  };
  std::string const then = ": fatal, all pipelines must be formed anew";
  EXPECT_EQ(reason(4, {{0, 1}, {0, 2}}), "worker 0:2 is lost, and so is its shadow 0:1" + then);
  EXPECT_EQ(reason(4, {{0, 2}, {0, 1}}),
            "worker 0:1 is lost, which runs the stage of 0:2 too" + then);
  EXPECT_EQ(reason(4, {{0, 3}, {0, 0}}), "worker 0:0 is lost, and so is its shadow 0:3" + then);
  EXPECT_EQ(reason(4, {{1, 0}, {1, 3}}),
            "worker 1:3 is lost, which runs the stage of 1:0 too" + then);
  EXPECT_EQ(reason(1, {{0, 0}}), "worker 0:0 is the only one of its pipeline" + then);
  EXPECT_EQ(reason(2, {{0, 0}, {0, 1}}),
            "worker 0:1 is lost, which runs the stage of 0:0 too" + then);
}

TEST(bamboo_failover, refusals) {
  auto const field = [](auto const& change, std::int64_t step = 0) {
    auto job = lost(bamboo_job(3, 3), {{0, 1}});
    change(job);
    return field_of([&] { (void)shadow_failover{.lockstep = step}(job); });
  };
  EXPECT_EQ(field([](auto&) {}), "nothing thrown");
  EXPECT_EQ(field([](auto&) {}, 10), "nothing thrown");
  EXPECT_EQ(field([](auto&) {}, -1), "lockstep");
  EXPECT_EQ(field([](auto&) {}, 11), "lockstep");
  EXPECT_EQ(field([](auto& j) { j.dead.clear(); }), "dead");
  EXPECT_EQ(field([](auto& j) { j.dead.push_back({0, 1}); }), "dead[1]");
  EXPECT_EQ(field([](auto& j) { j.memory = stash_cap::one_f_one_b(); }), "memory");
  EXPECT_EQ(field([](auto& j) {
              j.transfer.between_nodes = 2;
              j.transfer.ranks_per_node = 2;
            }),
            "transfer");
  EXPECT_EQ(field([](auto& j) { j.layout = stage_layout::looped(3); }), "layout");
}

}  // namespace
}  // namespace shunt::tests::shadow_failover_test
