#include "shunt/check/layer_partition.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "shunt/plan/layer_partition.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/layer_jobs.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::layer_partition_check {
namespace {

layer_job small() {
  auto job = layers_of({{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {0, 0, 4}}, 2, 3, 1);
  for (auto& l : job.layers) l.state_bytes = 10, l.activation_bytes = 1;
  job.memory = 40;
  return job;
}

layer_partition plan_of(layer_job const& job) {
  layer_partition plan{.stages = {{0, 2}, {2, 4}}};
  plan.job = pipeline_job_of(job, plan.stages, stage_layout::linear());
  plan.schedule = one_f_one_b{}(plan.job).plan;
  return plan;
}

TEST(layer_partition, each_rule_is_broken_alone) {
  auto const job = small();
  auto const with = [&](auto const& change) {
    auto plan = plan_of(job);
    change(plan);
    return lines(check(job, plan));
  };
  EXPECT_EQ(with([](auto&) {}), "");
  EXPECT_EQ(with([](auto& p) { p.stages[1].first = 3; }),
            "stage 1, first layer: found 3, wanted 2\n");
  EXPECT_EQ(with([](auto& p) { p.stages[1].end = 3; }),
            "stage 2, first layer: found 3, wanted 4\n");
  EXPECT_EQ(with([](auto& p) { p.stages = {{0, 4}, {4, 4}}; }),
            "stage 1, end: found 4, wanted 5\n");
  EXPECT_EQ(with([](auto& p) { std::swap(p.stages[0], p.stages[1]); }),
            "stage 0, first layer: found 2, wanted 0\nstage 1, first layer: found 0, wanted 4\n"
            "stage 2, first layer: found 2, wanted 4\n");
  EXPECT_EQ(with([](auto& p) { p.job.microbatches = 4; }), "microbatches: found 4, wanted 3\n");
  EXPECT_EQ(with([](auto& p) { p.job.transfer = 0; }),
            "transfer: found 0, wanted 1\ntransfer: found 0, wanted 1\n");
  EXPECT_EQ(with([](auto& p) { p.job.costs.step = 2; }),
            "dead workers, overlap gain, step, lengths or matrix of links: found 2, wanted 0\n");
  EXPECT_EQ(with([](auto& p) { p.job.layout = stage_layout::looped(2); }),
            "ranks of pipeline, 0: found 1, wanted 2\n");
  EXPECT_EQ(with([](auto& p) { p.job.costs.forward = {3, 2}; }),
            "stage 1, forward: found 2, wanted 3\n");
  EXPECT_EQ(with([](auto& p) { p.job.costs.backward_input = {2, 3}; }),
            "stage 0, backward_input: found 2, wanted 3\n");
  EXPECT_EQ(with([](auto& p) { p.job.costs.backward_weight = 3; }),
            "stage 1, backward_weight: found 3, wanted 7\n");
  EXPECT_EQ(with([](auto& p) { p.job.stash.forward = {1, 2}; }),
            "stage 0, stash: found 1, wanted 2\n");
  EXPECT_EQ(with([](auto& p) { p.job.stash.backward_input = 1; }),
            "stage 0, stash: found 1, wanted 0\n");
  EXPECT_EQ(with([](auto& p) { p.job.memory.limits[1] = 25; }),
            "rank 1, cap: found 25, wanted 20\n");
  EXPECT_EQ(with([](auto& p) { p.job.memory = stash_cap::none(); }),
            "rank 0, cap: found 0, wanted 2\n");
  EXPECT_NE(with([](auto& p) { p.schedule.order[0].pop_back(); }).find("schedule: "),
            std::string::npos);
}

TEST(layer_partition, a_rank_holds_states_and_stashes) {
  auto job = small();
  job.memory = 24;
  auto plan = plan_of(job);  // 1F1B holds two micro-batches on rank 0: 20 + 4 bytes
  EXPECT_EQ(lines(check(job, plan)), "");
  job.memory = 23;
  plan.job = pipeline_job_of(job, plan.stages, stage_layout::linear());
  EXPECT_EQ(count(lines(check(job, plan)), "schedule: "), 2u);
  job.memory = 20;
  plan.job = pipeline_job_of(job, plan.stages, stage_layout::linear());
  EXPECT_EQ(lines(check(job, plan)),
            "rank 0, bytes: found 21, wanted 20\nrank 1, bytes: found 21, wanted 20\n");
  job.ranks = 5;
  EXPECT_EQ(thrown_by([&] { (void)check(job, plan); }),
            "layers: are 4, fewer than the 5 ranks of a pipeline");
}

}  // namespace
}  // namespace shunt::tests::layer_partition_check
