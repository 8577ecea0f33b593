#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/expert_layers.hpp"
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
  return std::string(wrong);
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
  EXPECT_EQ(with([](auto&, auto& all) {
              all.overlapped.resize(4);
              all.overlapped[1] = {0};  // its own backward needs the forward
            }),
            "rank 1: the pair at 0 is the forward of micro-batch 0:0 at stage 1 and the backward "
            "of micro-batch 0:0 at stage 1");
  EXPECT_EQ(with([](auto&, auto& all) {
              all.overlapped.resize(4);
              all.overlapped[1] = {3};
            }),
            "rank 1: the pair at 3 is the backward of micro-batch 0:1 at stage 1 and the step at "
            "stage 1");
  EXPECT_EQ(with([](auto&, auto& all) { all.overlapped.resize(5); }),
            "5 lists of pairs for 4 ranks");
}

TEST(mismatch, the_dead_compute_nothing) {
  auto const plan = one_f_one_b{}(small).plan;
  auto without = small;
  without.dead = {{0, 1}};
  EXPECT_EQ(mismatch(without, plan), text("rank 1 is dead and its list has 5 operations"));
  EXPECT_EQ(mismatch(without, slipstream{}(without).plan), text());
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
  EXPECT_EQ(mismatch(plan, table), text());
  table.times[2].pop_back();
  EXPECT_EQ(mismatch(plan, table), text("rank 2 has 4 times for 5 operations"));
  table.times.resize(3);
  EXPECT_EQ(mismatch(plan, table), text("3 lists of times for 4 ranks"));
}

TEST(mismatch, a_placement_is_of_its_layers) {
  expert_layers const two{
      .layers = 2, .experts = 3, .loads = {1, 2, 3, 4, 5, 6}, .slots_per_rank = {2, 2}};
  expert_placement const plan{
      .layers = 2, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 1, 2, 2, 0, 1, 1, 2}};
  EXPECT_EQ(mismatch(two, plan), text());
  auto const with = [&](auto change, extent wanted = extent::whole) {
    auto other = plan;
    change(other);
    auto const wrong = mismatch(two, other, wanted);
    return std::string(wrong);
  };
  auto const lacking = [](expert_placement& p) { p.expert_of[1] = 0; };
  EXPECT_EQ(with(lacking), "layer 0 has no slot for expert 1");
  EXPECT_EQ(with(lacking, extent::part), "");
  EXPECT_EQ(with([](auto& p) { p.layers = 1; }), "the placement has 1 layers, the layers have 2");
  EXPECT_EQ(with([](auto& p) { p.experts = 4; }), "the placement has 4 experts, the layers have 3");
  EXPECT_EQ(with([](auto& p) { p.first_slot = {0, 4}; }),
            "the placement has 1 ranks, the layers have 2");
  EXPECT_EQ(with([](auto& p) { p.first_slot = {0, 1, 4}; }),
            "rank 0 has 1 slots in the placement, 2 in the layers");
  EXPECT_EQ(with([](auto& p) { p.expert_of.pop_back(); }),
            "the placement has 7 slots in all, the layers have 8");
  EXPECT_EQ(with([](auto& p) { p.expert_of[5] = 3; }), "layer 1, slot 1 holds expert 3 of 3");
  auto const empty = [](expert_placement& p) { p.expert_of[5] = -1; };
  EXPECT_EQ(with(empty), "layer 1, slot 1 holds expert -1 of 3");
  EXPECT_EQ(with(empty, extent::part), "");
}

TEST(mismatch, of_placements_agrees_with_the_judge) {
  random_cases d(72);
  int foreign = 0, same = 0;
  for (int n = 0; n < 4000; ++n) {
    expert_layers layers{.layers = d.roll(1, 3), .experts = d.roll(1, 4)};
    layers.loads.assign(static_cast<std::size_t>(layers.layers * layers.experts), 1);
    for (int r = d.roll(1, 3); r-- > 0;) layers.slots_per_rank.push_back(d.roll(0, 3));
    expert_placement plan{.layers = layers.layers + (d.roll(0, 19) == 0),
                          .experts = layers.experts + (d.roll(0, 19) == 0)};
    for (auto const s : layers.slots_per_rank)
      plan.first_slot.push_back(plan.first_slot.back() + s + (d.roll(0, 29) == 0));
    for (int s = plan.layers * plan.slots() + (d.roll(0, 19) == 0); s-- > 0;)
      plan.expert_of.push_back(d.roll(0, 59) == 0 ? d.roll(-1, 5)
                                                  : s % std::max(1, layers.experts));
    auto const wrong = mismatch(layers, plan);
    EXPECT_EQ(!wrong.empty(), !check(layers, plan).empty())
        << (!wrong.empty() ? std::string(wrong) : to_string(check(layers, plan).front()));
    ++(!wrong.empty() ? foreign : same);
  }
  EXPECT_GT(foreign, 500);
  EXPECT_GT(same, 500);
}

/// The judge, which shares no code with it, finds a violation wherever it finds a mismatch, and
/// another kind of violation (memory, a circle) where it does not.
TEST(mismatch, agrees_with_the_judge) {
  random_cases d(71);
  int foreign = 0, same = 0;
  for (int n = 0; n < 1000; ++n) {
    auto job = random_job_with_failures(d, true);
    auto plan = slipstream{.effort = 1000}(job).plan;
    if (stage_without_worker(job)) continue;
    if (d.roll(0, 3) > 0) {  // one change
      auto& list = plan.order[rank_id(d.roll(0, job.ranks() - 1))];
      if (list.empty()) continue;
      auto const at = static_cast<std::size_t>(d.roll(0, static_cast<int>(list.size()) - 1));
      auto const other = static_cast<std::size_t>(d.roll(0, static_cast<int>(list.size()) - 1));
      switch (d.roll(0, 5)) {
        case 5:
          plan.overlapped.resize(plan.order.size());
          plan.overlapped[rank_id(d.roll(0, job.ranks() - 1))] = {static_cast<int>(at)};
          break;
        case 0: list.erase(list.begin() + static_cast<std::ptrdiff_t>(at)); break;
        case 1: std::swap(list[at], list[other]); break;
        case 2: list[at].kind = static_cast<op_kind>(d.roll(0, 5)); break;
        case 3: list[at].stage = d.roll(-1, job.stages); break;
        default: list[at].microbatch = d.roll(-1, job.microbatches[0]); break;
      }
    }
    auto const violations = check(job, plan);
    auto const fits = [](pipeline_violation const& v) {
      return v.rule == pipeline_rule::memory || v.rule == pipeline_rule::cycle;
    };
    bool const sound = std::all_of(violations.begin(), violations.end(), fits);
    auto const wrong = mismatch(job, plan);
    EXPECT_EQ(wrong.empty(), sound)
        << (!wrong.empty() ? std::string(wrong) : to_string(violations.front()));
    ++(!wrong.empty() ? foreign : same);
  }
  EXPECT_GT(foreign, 150);
  EXPECT_GT(same, 150);
}

}  // namespace
}  // namespace shunt::tests::mismatch_test
