#include "shunt/check/shadow_takeover.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "shunt/solve/pipeline/shadow_failover.hpp"
#include "support/redundancy.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::takeover_check {
namespace {

// Stage 1 of 3 is lost in lockstep 6: F0@1 was made redundantly, B0@1 F1@1 F2@1 are repeated.
pipeline_job job_with(std::vector<worker> dead) {
  auto job = bamboo_job(3, 3);
  job.dead = std::move(dead);
  return job;
}

std::string with(auto const& change) {
  auto const job = job_with({{0, 1}});
  auto plan = shadow_failover{.lockstep = 6}(job).plan;
  change(plan);
  return lines(check(job, 6, plan));
}

TEST(bamboo_takeover, each_rule_is_broken_alone) {
  EXPECT_EQ(with([](auto& p) {
              EXPECT_EQ(shown(p.reused), "F0@1");
              EXPECT_EQ(shown(p.resumed), "F1@1 B0@1 F2@1 B1@1 B1@0 B2@1 B2@0 S@0 S@1");
            }),
            "");
  EXPECT_EQ(with([](auto& p) { p.lost = {0, 2}; }), "worker 0:2 was not lost last\n");
  EXPECT_EQ(with([](auto& p) { p.shadow = {0, 2}; }), "worker 0:2 is not the shadow\n");
  EXPECT_EQ(with([](auto& p) { p.job.costs.step = 9; }),
            "the following iterations are those of another job\n");
  EXPECT_EQ(with([](auto& p) { p.job.layout = stage_layout::custom({0, 1, 1}); }),
            "worker 0:1 is on another rank than its own or its shadow's\n");
  EXPECT_EQ(with([](auto& p) { p.survivors = {0, 1}; }),
            "worker 0:0 is on another rank than its own or its shadow's\n");
  EXPECT_EQ(with([](auto& p) { p.schedule.order[0].pop_back(); }),
            "following iterations: step_missing: worker 0:0: never steps stage 1\n");
  EXPECT_EQ(with([](auto& p) {
              p.reused.push_back(p.resumed[0]);
              p.resumed.erase(p.resumed.begin());
            }),
            "the forward of micro-batch 0:1 at stage 1 can't be reused\n"
            "the forward of micro-batch 0:1 at stage 1 is missing\n");
  EXPECT_EQ(with([](auto& p) { p.resumed.insert(p.resumed.begin(), p.reused[0]); }),
            "the forward of micro-batch 0:0 at stage 1 needn't be done here\n");
  EXPECT_EQ(with([](auto& p) { p.resumed.erase(p.resumed.begin() + 4); }),
            "the backward of micro-batch 0:1 at stage 0 is missing\n");
  EXPECT_EQ(with([](auto& p) { std::swap(p.resumed[6], p.resumed[7]); }),
            "the step at stage 0 stands before an operation of its stage\n");
  EXPECT_EQ(with([](auto& p) { p.resumed.pop_back(); }), "the step at stage 1 is missing\n");
  EXPECT_EQ(with([](auto& p) { p.resumed.push_back(p.resumed.back()); }),
            "the step at stage 1 needn't be done here\n");
  EXPECT_EQ(with([](auto& p) { p.resumed.push_back({.kind = op_kind::step, .stage = 2}); }),
            "the step at stage 2 needn't be done here\n");
  EXPECT_EQ(with([](auto& p) { std::swap(p.resumed[3], p.resumed[4]); }),
            "the backward of micro-batch 0:1 at stage 0 can never start\n");
}

// A forward that was made redundantly may be made again.
TEST(bamboo_takeover, nothing_must_be_reused) {
  EXPECT_EQ(with([](auto& p) {
              p.resumed.insert(p.resumed.begin(), p.reused[0]);
              p.reused.clear();
            }),
            "");
}

TEST(bamboo_takeover, fatal_losses_have_none) {
  auto const plan = shadow_failover{}(job_with({{0, 1}})).plan;
  EXPECT_EQ(lines(check(job_with({{0, 1}, {0, 2}}), 0, plan)), "worker 0:2 has no live shadow\n");
  EXPECT_EQ(lines(check(job_with({{0, 0}, {0, 2}}), 0, plan)), "worker 0:0 has no live shadow\n");
  EXPECT_EQ(field_of([&] { (void)check(job_with({}), 0, plan); }), "dead");
}

}  // namespace
}  // namespace shunt::tests::takeover_check
