#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/small_schedules.hpp"

namespace shunt::tests::pipeline_test {
namespace {

using namespace small_schedules;

// The rules that a changed 1F1B breaks, in the order they are reported.
using change = std::function<void(pipeline_schedule&)>;

std::vector<pipeline_violation> after(change const& edit, pipeline_job job = small_job()) {
  auto plan = one_f_one_b{}(pipeline_job{.pipelines = 2, .stages = 2, .microbatches = 3}).plan;
  edit(plan);
  return check(job, plan);
}

std::vector<rule> rules_after(change const& edit) { return rules(after(edit)); }

TEST(pipeline, a_plan_breaks_none) {
  EXPECT_TRUE(after([](auto&) {}).empty());
}

TEST(pipeline, lists) {
  auto const found = after([](auto& p) { p.order.resize(3); });
  ASSERT_EQ(rules(found), std::vector{rule::lists});
  EXPECT_EQ(to_string(found[0]), "lists: 3 lists for 4 workers");
}

TEST(pipeline, unknown) {
  for (operation const o :
       {operation{F, 2, 0, 0}, operation{F, 0, 2, 0}, operation{F, 0, 0, 3}, operation{F, -1, 0, 0},
        operation{op_kind::route, 0, 0, 0}, operation{op_kind::step, 0, 0, 1}}) {
    auto const found =
        after([&](auto& p) { p.order[first].insert(p.order[first].begin() + 2, o); });
    ASSERT_EQ(rules(found), std::vector{rule::unknown});
    EXPECT_EQ(found[0].rank, first);
    EXPECT_EQ(found[0].index, 2);
    EXPECT_EQ(found[0].operation, o);
  }
}

// Micro-batch 2 is one of pipeline 0 and none of pipeline 1.
TEST(pipeline, pipelines_have_their_own_numbers_of_microbatches) {
  auto job = small_job();
  job.microbatches = {3, 2};
  auto const extra = after([](auto&) {}, job);
  ASSERT_EQ(rules(extra), std::vector(4, rule::unknown));
  for (auto const& v : extra) {
    EXPECT_EQ(v.operation.pipeline, 1);
    EXPECT_EQ(v.operation.microbatch, 2);
  }
  auto plan = one_f_one_b{}(job).plan;
  EXPECT_TRUE(check(job, plan).empty());
  plan.order[job.rank_of({1, 0})].erase(plan.order[job.rank_of({1, 0})].begin() + 1);
  auto const lacking = check(job, plan);
  ASSERT_FALSE(lacking.empty());
  EXPECT_EQ(lacking[0].rule, rule::missing);
  EXPECT_EQ(lacking[0].operation, (operation{F, 1, 0, 1}));
  job.microbatches = {2, 3};
  EXPECT_EQ(rules(check(job, one_f_one_b{}(job).plan)), std::vector<rule>{});
  job.microbatches = {2, 4};
  auto const more = after([](auto&) {}, job);
  EXPECT_EQ(std::count_if(more.begin(), more.end(),
                          [](auto const& v) { return v.rule == rule::unknown; }),
            4);
  EXPECT_EQ(std::count_if(more.begin(), more.end(),
                          [](auto const& v) { return v.rule == rule::missing; }),
            4);
}

TEST(pipeline, dead_worker) {
  auto job = small_job();
  job.dead = {{1, 0}};
  auto const found = after([](auto&) {}, job);
  ASSERT_EQ(rules(found), std::vector(7, rule::dead_worker));  // six operations and the step
  EXPECT_EQ(found[0].worker, (worker{1, 0}));
  EXPECT_EQ(to_string(found[2]), "dead_worker: worker 1:0, operation 2 (backward of micro-batch "
                                 "1:0 at stage 0): the worker is dead");
}

TEST(pipeline, wrong_stage) {
  // all of one micro-batch of stage 1 on a worker of stage 0
  auto const found = after([](auto& p) {
    auto& list = p.order[second];
    list.erase(list.begin(), list.begin() + 2);
    p.order[first].insert(p.order[first].begin() + 1, {{F, 0, 1, 0}, {B, 0, 1, 0}});
  });
  ASSERT_EQ(rules(found), (std::vector{rule::wrong_stage, rule::wrong_stage}));
  EXPECT_EQ(found[1].index, 2);
}

TEST(pipeline, repeated) {
  auto const twice =
      after([](auto& p) { p.order[first].insert(p.order[first].begin() + 1, {F, 0, 0, 0}); });
  ASSERT_EQ(rules(twice), std::vector{rule::repeated});
  EXPECT_EQ(twice[0].related, (operation{F, 0, 0, 0}));
  EXPECT_EQ(twice[0].index, 1);
  // on another worker
  EXPECT_EQ(rules_after([](auto& p) {
              p.order[other_first].insert(p.order[other_first].begin(), {F, 0, 0, 0});
            }),
            std::vector{rule::repeated});
  // fused and split at once
  auto const both =
      after([](auto& p) { p.order[second].insert(p.order[second].begin() + 2, {W, 0, 1, 0}); });
  ASSERT_EQ(rules(both), std::vector{rule::repeated});
  EXPECT_EQ(both[0].related.kind, B);
  // a second step
  EXPECT_EQ(
      rules_after([](auto& p) { p.order[second].push_back({.kind = op_kind::step, .stage = 1}); }),
      std::vector{rule::repeated});
}

TEST(pipeline, missing) {
  auto const no_forward = after([](auto& p) { p.order[second].erase(p.order[second].begin()); });
  ASSERT_EQ(rules(no_forward), std::vector{rule::missing});
  EXPECT_EQ(no_forward[0].operation, (operation{F, 0, 1, 0}));
  EXPECT_EQ(to_string(no_forward[0]),
            "missing: nobody computes the forward of micro-batch 0:0 at stage 1");
  auto const no_backward =
      after([](auto& p) { p.order[second].erase(p.order[second].begin() + 1); });
  ASSERT_EQ(rules(no_backward), std::vector{rule::missing});
  EXPECT_EQ(no_backward[0].operation, (operation{B, 0, 1, 0}));
  auto const no_weight = after([](auto& p) { p.order[second][1].kind = I; });
  ASSERT_EQ(rules(no_weight), std::vector{rule::missing});
  EXPECT_EQ(no_weight[0].operation, (operation{W, 0, 1, 0}));
  auto const no_input = after([](auto& p) { p.order[second][1].kind = W; });
  ASSERT_EQ(rules(no_input), std::vector{rule::missing});
  EXPECT_EQ(no_input[0].operation, (operation{I, 0, 1, 0}));
}

TEST(pipeline, stash_elsewhere) {
  auto const found = after([](auto& p) {
    auto& own = p.order[first];
    own.erase(own.begin() + 2);  // B0 goes to the peer
    p.order[other_first].insert(p.order[other_first].end() - 1, {B, 0, 0, 0});
  });
  ASSERT_EQ(rules(found), std::vector{rule::stash_elsewhere});
  EXPECT_EQ(found[0].rank, other_first);
  EXPECT_EQ(found[0].related, (operation{F, 0, 0, 0}));
  // so with the gradient of the parameters alone
  EXPECT_EQ(rules_after([](auto& p) {
              p.order[first][2].kind = I;
              p.order[other_first].insert(p.order[other_first].end() - 1, {W, 0, 0, 0});
            }),
            std::vector{rule::stash_elsewhere});
}

TEST(pipeline, before_its_input) {
  auto const weight_first = after([](auto& p) {
    p.order[second][1].kind = W;
    p.order[second].insert(p.order[second].begin() + 2, {I, 0, 1, 0});
  });
  ASSERT_EQ(rules(weight_first), (std::vector{rule::before_its_input, rule::cycle}));
  EXPECT_EQ(weight_first[0].operation.kind, W);
  EXPECT_EQ(weight_first[0].related.kind, I);
  EXPECT_EQ(rules_after([](auto& p) { std::swap(p.order[second][0], p.order[second][1]); }),
            (std::vector{rule::before_its_input, rule::cycle}));
}

TEST(pipeline, step) {
  auto const none = after([](auto& p) { p.order[second].pop_back(); });
  ASSERT_EQ(rules(none), std::vector{rule::step_missing});
  EXPECT_EQ(to_string(none[0]), "step_missing: worker 0:1: never steps stage 1");
  auto const early = after([](auto& p) { std::swap(p.order[second][5], p.order[second][6]); });
  ASSERT_EQ(rules(early), (std::vector{rule::step_not_last,
                                       rule::cycle}));  // the step waits for what stands after it
  EXPECT_EQ(early[0].index, 6);
  EXPECT_EQ(rules_after([](auto& p) { p.order[second].back().stage = 0; }),
            (std::vector{rule::wrong_stage, rule::step_missing}));
}

TEST(pipeline, memory) {
  auto job = small_job();
  job.memory = stash_cap::per_worker(1);
  auto const found = after([](auto&) {}, job);
  ASSERT_EQ(rules(found), std::vector(4, rule::memory));  // F1 and F2 of both first stages
  EXPECT_EQ(found[0].index, 1);
  EXPECT_EQ(found[0].count, 2);
  EXPECT_EQ(found[0].limit, 1);
  // a split backward keeps its stash until backward_weight
  job.memory = stash_cap::one_f_one_b();
  EXPECT_TRUE(after([](auto&) {}, job).empty());
  auto const split = after(
      [](auto& p) {
        p.order[second][1].kind = I;
        p.order[second].insert(p.order[second].begin() + 3, {W, 0, 1, 0});
      },
      job);
  ASSERT_EQ(rules(split), std::vector{rule::memory});
  EXPECT_EQ(split[0].rank, second);
  EXPECT_EQ(split[0].index, 2);
}

TEST(pipeline, cycle) {
  // 0:0 wants B0 before F1, 0:1 wants F1 before B0
  auto const found = after([](auto& p) {
    std::swap(p.order[first][1], p.order[first][2]);
    std::swap(p.order[second][1], p.order[second][2]);
  });
  ASSERT_EQ(rules(found), std::vector{rule::cycle});
  EXPECT_EQ(found[0].rank, first);
  EXPECT_EQ(found[0].index, 1);
  EXPECT_EQ(found[0].operation, (operation{B, 0, 0, 0}));
  EXPECT_EQ(found[0].count,
            14);  // six of each worker, their steps and, not being staggered, those of all others
  EXPECT_EQ(to_string(found[0]),
            "cycle: worker 0:0, operation 1 (backward of micro-batch 0:0 at "
            "stage 0): can't start, nor can 13 others: "
            "workers wait for each other: it needs the backward of "
            "micro-batch 0:0 at stage 1, which stands behind the forward of "
            "micro-batch 0:1 at stage 1 of worker 0:1, which needs the forward "
            "of micro-batch 0:1 at stage 0, which stands behind the backward "
            "of micro-batch 0:0 at stage 0 of worker 0:0");
  EXPECT_EQ(found[0].cycle, (std::vector<pipeline_wait>{{{0, 0}, {B, 0, 0, 0}, {B, 0, 1, 0}},
                                                        {{0, 1}, {F, 0, 1, 1}, {F, 0, 0, 1}}}));
}

// 1F1B whose even ranks warm up with two more forwards: rank 0 waits for the cycle of ranks 1 and 2
// and is no part of it.
TEST(pipeline, a_cycle_is_named_without_those_who_wait_for_it) {
  pipeline_job const job{.stages = 4, .microbatches = 6};
  auto plan = one_f_one_b{}(job).plan;
  for (rank_id const r : {rank_id{0}, rank_id{2}}) {
    auto& list = plan.order[r];
    for (int more = 0; more < 2; ++more) {
      auto const is = [&](op_kind kind) {
        return [kind](operation const& o) { return o.kind == kind; };
      };
      auto const at = std::find_if(list.begin(), list.end(), is(B));
      auto const from = std::find_if(at, list.end(), is(F));
      std::rotate(at, from, from + 1);
    }
  }
  auto const found = check(job, plan);
  ASSERT_EQ(rules(found), std::vector{rule::cycle});
  EXPECT_EQ(found[0].rank, rank_id{1});
  EXPECT_EQ(found[0].cycle, (std::vector<pipeline_wait>{{{0, 1}, {B, 0, 1, 0}, {B, 0, 2, 0}},
                                                        {{0, 2}, {F, 0, 2, 3}, {F, 0, 1, 3}}}));
  // A step that waits for what stands behind it.
  auto early = one_f_one_b{}(job).plan;
  early.staggered_step = true;
  std::swap(early.order[rank_id{3}][11], early.order[rank_id{3}][12]);
  auto const steps = check(job, early);
  EXPECT_EQ(steps.back().cycle, (std::vector<pipeline_wait>{
                                    {{0, 3}, {.kind = op_kind::step, .stage = 3}, {B, 0, 3, 5}}}));
}

std::vector<pipeline_violation> v_after(change const& edit, pipeline_job const& job = v_job()) {
  auto plan = v_plan();
  edit(plan);
  return check(job, plan);
}

TEST(pipeline, a_plan_in_a_v_breaks_none) {
  EXPECT_TRUE(v_after([](auto&) {}).empty());
  EXPECT_TRUE(check(v_job(), v_plan(), times(v_job(), v_plan())).empty());
}

TEST(pipeline, every_rank_keeps_to_the_stages_it_holds) {
  // the same lists under a looped layout: rank 0 holds stages 0 and 2, rank 1 stages 1 and 3
  auto job = v_job();
  job.layout = stage_layout::looped(2);
  auto const found = rules(v_after([](auto&) {}, job));
  EXPECT_EQ(std::count(found.begin(), found.end(), rule::wrong_stage), 14);
  EXPECT_EQ(std::count(found.begin(), found.end(), rule::step_missing), 2);
  EXPECT_EQ(found.size(), 16U);
  // a step of a stage that is held elsewhere
  EXPECT_EQ(
      rules(v_after([](auto& p) { p.order[0].push_back({.kind = op_kind::step, .stage = 1}); })),
      std::vector{rule::wrong_stage});
}

TEST(pipeline, a_step_for_every_stage_after_all_of_it) {
  EXPECT_EQ(rules(v_after([](auto& p) { p.order[1].erase(p.order[1].begin() + 10); })),
            std::vector{rule::step_missing});
  EXPECT_EQ(rules(v_after([](auto& p) { p.order[1].push_back(p.order[1].back()); })),
            std::vector{rule::repeated});
  auto const early = v_after([](auto& p) { std::swap(p.order[1][9], p.order[1][10]); });
  ASSERT_EQ(rules(early), (std::vector{rule::step_not_last, rule::cycle}));
  EXPECT_EQ(early[0].operation, (operation{W, 0, 2, 1}));
  EXPECT_EQ(to_string(early[0]), "step_not_last: worker 0:1, operation 10 (backward_weight of "
                                 "micro-batch 0:1 at stage 2): stands after the step at stage 2");
  // one rank steps stage 3 before the other has finished it: nobody can wait for everybody unless
  // steps are staggered
  EXPECT_EQ(rules(v_after([](auto& p) { p.staggered_step = false; })), std::vector{rule::cycle});
}

TEST(pipeline, both_replicas_of_a_bidirectional_job) {
  pipeline_job const job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .layout = stage_layout::bidirectional()};
  pipeline_schedule plan;
  plan.order = {{{F, 0, 0, 0}, {F, 1, 1, 0}, {B, 1, 1, 0}, {B, 0, 0, 0}},
                {{F, 1, 0, 0}, {F, 0, 1, 0}, {B, 0, 1, 0}, {B, 1, 0, 0}}};
  EXPECT_EQ(rules(check(job, plan)), std::vector(4, rule::step_missing));
  for (auto& list : plan.order)
    for (stage_id s : {0, 1}) list.push_back({.kind = op_kind::step, .stage = s});
  EXPECT_TRUE(check(job, plan).empty());
  std::swap(plan.order[0][1], plan.order[0][2]);  // before its own forward
  EXPECT_EQ(rules(check(job, plan)), (std::vector{rule::before_its_input, rule::cycle}));
}

TEST(pipeline, stash_weights_and_a_cap_for_each_rank) {
  auto job = v_job();
  job.stash = {.forward = {4, 4, 4, 2}, .backward_input = {3, 1, 1, 2}};
  job.memory = stash_cap::per_rank(
      {10, 16});  // rank 0: 4 + 4 + 2, the backward_input gives 2 back; rank 1: 16
  EXPECT_TRUE(v_after([](auto&) {}, job).empty());
  job.memory = stash_cap::per_rank({9, 15});
  auto const found = v_after([](auto&) {}, job);
  ASSERT_EQ(rules(found), (std::vector{rule::memory, rule::memory, rule::memory}));
  EXPECT_EQ(found[0].rank, rank_id{0});
  EXPECT_EQ(found[0].index, 2);
  EXPECT_EQ(found[1].index, 4);
  EXPECT_EQ(found[1].count, 10);
  EXPECT_EQ(found[2].count, 16);
  EXPECT_EQ(to_string(found[2]), "memory: worker 0:1, operation 3 (forward of micro-batch 0:1 at "
                                 "stage 2): 16 stashed, the cap is 15");
}

TEST(pipeline, pairs_stand_in_the_list_and_apart) {
  EXPECT_TRUE(check(v_job(), paired({3})).empty());
  for (auto const& wrong :
       std::vector<std::vector<std::int32_t>>{{-1}, {13}, {99}, {3, 3}, {3, 4}, {4, 3}}) {
    auto const found = rules(check(v_job(), paired(wrong)));
    EXPECT_EQ(std::count(found.begin(), found.end(), rule::pair_place), 1) << wrong[0];
  }
  auto plan = paired({3});
  plan.overlapped.resize(1);
  EXPECT_EQ(rules(check(v_job(), plan)), std::vector{rule::lists});
  EXPECT_EQ(
      to_string(check(v_job(), paired({13})).front()),
      "pair_place: worker 0:0: the pair at 13 has no place of its own in a list of 14 operations");
}

TEST(pipeline, pairs_are_a_forward_and_a_gradient_of_other_micro_batches) {
  EXPECT_EQ(rules(check(v_job(), paired({0}))), std::vector{rule::pair_kinds});  // F0(0), F0(1)
  EXPECT_EQ(rules(check(v_job(), paired({7}))),
            (std::vector{rule::pair_kinds, rule::cycle}));  // W and the step that waits for it
  EXPECT_EQ(rules(check(v_job(), paired({2}))),
            (std::vector{rule::pair_kinds, rule::cycle}));  // I3(0) needs F3(0)
  EXPECT_EQ(rules(check(v_job(), paired({4}))), (std::vector{rule::pair_kinds, rule::cycle}));
  auto const found = check(v_job(), paired({6}));
  ASSERT_EQ(rules(found), std::vector{rule::pair_kinds});
  EXPECT_EQ(to_string(found[0]), "pair_kinds: worker 0:0, operation 7 (backward_weight of "
                                 "micro-batch 0:1 at stage 3): can't overlap with the "
                                 "backward_weight of micro-batch 0:0 at stage 3");
}

TEST(pipeline, pairs_need_both_inputs_when_they_start) {
  // rank 1: F1(1) and I2(0) next to each other, but I2(0) needs I3(0), which rank 0 computes after
  // F3(0), and so on: fine. On rank 0 the pair F0(1) and I3(0) waits for rank 1 as well, which
  // waits for F0(1).
  auto plan = v_plan();
  plan.order[0] = {plan.order[0][0],  plan.order[0][2], plan.order[0][1],  plan.order[0][3],
                   plan.order[0][4],  plan.order[0][5], plan.order[0][6],  plan.order[0][7],
                   plan.order[0][8],  plan.order[0][9], plan.order[0][10], plan.order[0][11],
                   plan.order[0][12], plan.order[0][13]};
  plan.overlapped = {{2}, {}};
  EXPECT_TRUE(check(v_job(), plan).empty());
  // now rank 1 computes both forwards of stage 1 before it goes on: F3(0) waits for F0(1)
  std::swap(plan.order[1][1], plan.order[1][2]);
  std::swap(plan.order[0][1], plan.order[0][2]);
  plan.overlapped = {{}, {}};
  EXPECT_TRUE(check(v_job(), plan).empty());
  plan.order[0] = {{F, 0, 0, 0},
                   {F, 0, 0, 1},
                   {F, 0, 3, 0},
                   {F, 0, 3, 1},
                   {I, 0, 3, 0},
                   {I, 0, 3, 1},
                   {W, 0, 3, 0},
                   {W, 0, 3, 1},
                   {op_kind::step, 0, 3, 0},
                   {I, 0, 0, 0},
                   {W, 0, 0, 0},
                   {I, 0, 0, 1},
                   {W, 0, 0, 1},
                   {op_kind::step, 0, 0, 0}};
  plan.order[1] = {{F, 0, 1, 0},
                   {F, 0, 2, 0},
                   {F, 0, 1, 1},
                   {I, 0, 2, 0},
                   {F, 0, 2, 1},
                   {I, 0, 1, 0},
                   {I, 0, 2, 1},
                   {I, 0, 1, 1},
                   {W, 0, 2, 0},
                   {W, 0, 2, 1},
                   {op_kind::step, 0, 2, 0},
                   {W, 0, 1, 0},
                   {W, 0, 1, 1},
                   {op_kind::step, 0, 1, 0}};
  // I2(0) needs I3(0) after F3(1) after F2(1), which stands behind the pair
  EXPECT_EQ(rules(check(v_job(), plan)), std::vector{rule::cycle});
}

TEST(pipeline, an_unknown_operation_in_a_pair_that_waits) {
  auto const found = after([](auto& p) {
    auto& list = p.order[first];  // its backward comes first and waits for the other rank
    auto const at = std::find(list.begin(), list.end(), operation{B, 0, 0, 0});
    std::rotate(list.begin(), at, at + 1);
    p.order[second].insert(p.order[second].begin(), {F, -9999, 1, 0});
    p.overlapped.resize(p.order.size());
    p.overlapped[second] = {0};
  });
  EXPECT_EQ(rules(found),
            (std::vector{rule::unknown, rule::before_its_input, rule::pair_kinds, rule::cycle}));
}

// Schedules that a field's validators were seen to accept.
TEST(pipeline, lists_of_operations_seen_elsewhere) {
  // the last rank emits micro-batches 1 .. M instead of 0 .. M - 1
  auto const shifted = after([](auto& p) {
    for (auto& o : p.order[second])
      if (o.kind == F) o.microbatch = o.microbatch.value() + 1;
  });
  ASSERT_EQ(rules(shifted).front(), rule::unknown);
  EXPECT_TRUE(std::any_of(shifted.begin(), shifted.end(), [](auto const& v) {
    return v.rule == rule::missing && v.operation == operation{F, 0, 1, 0};
  }));
  // one micro-batch by both a fused and a split backward, another never
  EXPECT_EQ(rules_after([](auto& p) {
              p.order[second][3] = {I, 0, 1, 0};
              p.order[second].insert(p.order[second].begin() + 4, {W, 0, 1, 0});
            }),
            (std::vector{rule::repeated, rule::repeated, rule::missing}));
  // a second backward; a micro-batch that doesn't exist; one that is missing everywhere
  EXPECT_EQ(
      rules_after([](auto& p) { p.order[first].insert(p.order[first].begin() + 4, {B, 0, 0, 0}); }),
      std::vector{rule::repeated});
  EXPECT_EQ(rules_after([](auto& p) { p.order[second][0].microbatch = 7; }),
            (std::vector{rule::unknown, rule::missing}));
  EXPECT_EQ(rules_after([](auto& p) {
              for (rank_id r : {first, second})
                std::erase_if(p.order[r], [](auto const& o) {
                  return o.kind != op_kind::step && o.pipeline == 0 && o.microbatch == 1;
                });
            }),
            std::vector(4, rule::missing));
  // a gradient with respect to the input and none to the parameters, and the other way round
  EXPECT_EQ(rules_after([](auto& p) { p.order[first][2].kind = I; }), std::vector{rule::missing});
  EXPECT_EQ(rules_after([](auto& p) { p.order[first][2].kind = W; }), std::vector{rule::missing});
}

}  // namespace
}  // namespace shunt::tests::pipeline_test
