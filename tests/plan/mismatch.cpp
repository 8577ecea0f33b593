#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::mismatch_test {
namespace {

pipeline_job const small{.pipelines = 2, .stages = 2, .microbatches = 2, .costs = {1, 1, 1, 1}};

std::string reason(pipeline_schedule const& plan, extent wanted = extent::whole) {
  auto const wrong = mismatch(small, plan, wanted);
  return wrong ? std::string(*wrong) : "";
}

TEST(mismatch, a_schedule_of_the_job_has_none) {
  auto const plan = one_f_one_b{}(small).plan;
  EXPECT_EQ(reason(plan), "");
  EXPECT_EQ(reason(plan, extent::part), "");
}

TEST(mismatch, says_what_and_where) {
  auto const plan = one_f_one_b{}(small).plan;
  auto const with = [&](auto change) {
    auto other = plan;
    change(other.order[1], other);
    return reason(other);
  };
  EXPECT_EQ(with([](auto&, auto& all) { all.order.resize(3); }),
            "3 lists of operations for 4 ranks");
  EXPECT_EQ(with([](auto& list, auto&) { list.clear(); }), "rank 1 does not step stage 1");
  EXPECT_EQ(with([](auto& list, auto&) { list.erase(list.begin(), list.begin() + 2); }),
            "forward of micro-batch 0:0 at stage 1 is missing");
  EXPECT_EQ(with([](auto& list, auto&) { list[1].kind = op_kind::backward_input; }),
            "backward_weight of micro-batch 0:0 at stage 1 is missing");
  EXPECT_EQ(with([](auto& list, auto&) { list.erase(list.begin()); }),
            "rank 1, operation 0: backward of micro-batch 0:0 at stage 1 has no forward before it "
            "in the list");
  EXPECT_EQ(with([](auto& list, auto&) { list[2] = list[0]; }),
            "rank 1, operation 2: forward of micro-batch 0:0 at stage 1 stands twice");
  EXPECT_EQ(with([](auto& list, auto&) { list[0].microbatch = 2; }),
            "rank 1, operation 0: forward of micro-batch 0:2 at stage 1 is not in the job");
  EXPECT_EQ(with([](auto& list, auto&) { list[0].pipeline = -1; }),
            "rank 1, operation 0: forward of micro-batch -1:0 at stage 1 is not in the job");
  EXPECT_EQ(with([](auto& list, auto&) { list[0].stage = 0; }),
            "rank 1, operation 0: forward of micro-batch 0:0 at stage 0 is of a stage that the "
            "rank does not hold");
  EXPECT_EQ(with([](auto& list, auto&) { std::swap(list[3], list[4]); }),
            "rank 1, operation 4: backward of micro-batch 0:1 at stage 1 comes after the step of "
            "its stage");
  EXPECT_EQ(with([](auto& list, auto&) { list.push_back(list.back()); }),
            "rank 1, operation 5: step at stage 1 stands twice");
  EXPECT_EQ(with([](auto&, auto& all) {
              all.overlapped.resize(4);
              all.overlapped[1] = {4};
            }),
            "rank 1: the pair at 4 is not in its list, or not behind the pair before it");
  EXPECT_EQ(with([](auto&, auto& all) {
              all.overlapped.resize(4);
              all.overlapped[1] = {1, 2};
            }),
            "rank 1: the pair at 2 is not in its list, or not behind the pair before it");
  EXPECT_EQ(with([](auto&, auto& all) { all.overlapped.resize(5); }),
            "5 lists of pairs for 4 ranks");
}

TEST(mismatch, the_dead_compute_nothing) {
  auto const plan = one_f_one_b{}(small).plan;
  auto without = small;
  without.dead = {{0, 1}};
  EXPECT_EQ(mismatch(without, plan), text("rank 1 is dead and its list has 5 operations"));
  EXPECT_EQ(mismatch(without, slipstream{}(without).plan), std::nullopt);
}

TEST(mismatch, a_part_may_lack_operations) {
  auto plan = one_f_one_b{}(small).plan;
  for (auto& list : plan.order) list.resize(1);
  EXPECT_EQ(reason(plan, extent::part), "");
  EXPECT_NE(reason(plan), "");
}

TEST(mismatch, a_timetable_has_a_time_for_every_operation) {
  auto const plan = one_f_one_b{}(small).plan;
  auto table = times(small, plan);
  EXPECT_EQ(mismatch(plan, table), std::nullopt);
  table.times[2].pop_back();
  EXPECT_EQ(mismatch(plan, table), text("rank 2 has 4 times for 5 operations"));
  table.times.resize(3);
  EXPECT_EQ(mismatch(plan, table), text("3 lists of times for 4 ranks"));
}

/// The judge, which shares no code with it, finds a violation wherever it finds a mismatch, and
/// another kind of violation (memory, a circle, a pair's kinds) where it does not.
TEST(mismatch, agrees_with_the_judge) {
  random_cases d(71);
  int foreign = 0, same = 0;
  for (int n = 0; n < 3000; ++n) {
    auto job = random_job_with_failures(d, true);
    auto plan = slipstream{.effort = 1000}(job).plan;
    if (stage_without_worker(job)) continue;
    if (d.roll(0, 3) > 0) {  // one change
      auto& list = plan.order[rank_id(d.roll(0, job.ranks() - 1))];
      if (list.empty()) continue;
      auto const at = static_cast<std::size_t>(d.roll(0, static_cast<int>(list.size()) - 1));
      auto const other = static_cast<std::size_t>(d.roll(0, static_cast<int>(list.size()) - 1));
      switch (d.roll(0, 4)) {
        case 0: list.erase(list.begin() + static_cast<std::ptrdiff_t>(at)); break;
        case 1: std::swap(list[at], list[other]); break;
        case 2: list[at].kind = static_cast<op_kind>(d.roll(0, 5)); break;
        case 3: list[at].stage = d.roll(-1, job.stages); break;
        default: list[at].microbatch = d.roll(-1, job.microbatches); break;
      }
    }
    auto const violations = check(job, plan);
    auto const fits = [](pipeline_violation const& v) {
      return v.rule == pipeline_rule::memory || v.rule == pipeline_rule::cycle ||
             v.rule == pipeline_rule::pair_kinds;
    };
    bool const sound = std::all_of(violations.begin(), violations.end(), fits);
    auto const wrong = mismatch(job, plan);
    EXPECT_EQ(!wrong, sound) << (wrong ? std::string(*wrong) : to_string(violations.front()));
    ++(wrong ? foreign : same);
  }
  EXPECT_GT(foreign, 500);
  EXPECT_GT(same, 500);
}

}  // namespace
}  // namespace shunt::tests::mismatch_test
