// The judge: every rule is broken once, by hand, and found; and what a broken job is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;
using rule = pipeline_rule;
constexpr auto F = op_kind::forward, B = op_kind::backward, I = op_kind::backward_input,
               W = op_kind::backward_weight;

// Two pipelines, two stages, three micro-batches: worker 0:0 does F0 F1 B0 F2 B1 B2, worker 0:1
// does F0 B0 F1 B1 F2 B2, each a step after.
pipeline_job small_job() {
  return {.pipelines = 2, .stages = 2, .microbatches = 3, .costs = {.step = 2}, .transfer = 1};
}
constexpr rank_id first = 0, second = 1, other_first = 2;

// The rules that a changed 1F1B breaks, in the order they are reported.
using change = std::function<void(pipeline_schedule&)>;
std::vector<pipeline_violation> after(change const& edit, pipeline_job job = small_job()) {
  auto plan = one_f_one_b{}(pipeline_job{.pipelines = 2, .stages = 2, .microbatches = 3}).plan;
  edit(plan);
  return check(job, plan);
}
std::vector<rule> rules(std::vector<pipeline_violation> const& found) {
  std::vector<rule> all;
  for (auto const& v : found) all.push_back(v.rule);
  return all;
}
std::vector<rule> rules_after(change const& edit) { return rules(after(edit)); }

TEST(rules, a_plan_breaks_none) {
  EXPECT_TRUE(after([](auto&) {}).empty());
}

TEST(rules, lists) {
  auto const found = after([](auto& p) { p.order.resize(3); });
  ASSERT_EQ(rules(found), std::vector{rule::lists});
  EXPECT_EQ(to_string(found[0]), "lists: 3 lists for 4 workers");
}

TEST(rules, unknown) {
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

TEST(rules, dead_worker) {
  auto job = small_job();
  job.dead = {{1, 0}};
  auto const found = after([](auto&) {}, job);
  ASSERT_EQ(rules(found), std::vector(7, rule::dead_worker));  // six operations and the step
  EXPECT_EQ(found[0].worker, (worker{1, 0}));
  EXPECT_EQ(to_string(found[2]), "dead_worker: worker 1:0, operation 2 (backward of micro-batch "
                                 "1:0 at stage 0): the worker is dead");
}

TEST(rules, wrong_stage) {
  // all of one micro-batch of stage 1 on a worker of stage 0
  auto const found = after([](auto& p) {
    auto& list = p.order[second];
    list.erase(list.begin(), list.begin() + 2);
    p.order[first].insert(p.order[first].begin() + 1, {{F, 0, 1, 0}, {B, 0, 1, 0}});
  });
  ASSERT_EQ(rules(found), (std::vector{rule::wrong_stage, rule::wrong_stage}));
  EXPECT_EQ(found[1].index, 2);
}

TEST(rules, repeated) {
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

TEST(rules, missing) {
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

TEST(rules, stash_elsewhere) {
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

TEST(rules, before_its_input) {
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

TEST(rules, step) {
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

TEST(rules, memory) {
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

TEST(rules, cycle) {
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
  EXPECT_EQ(to_string(found[0]), "cycle: worker 0:0, operation 1 (backward of micro-batch 0:0 at "
                                 "stage 0): can't start, nor can 13 others: "
                                 "workers wait for each other");
}

// Times of the schedule above, changed.
std::vector<pipeline_violation> timed(bool staggered, std::function<void(timetable&)> const& edit) {
  auto const job = small_job();
  auto plan = one_f_one_b{}(job).plan;
  plan.staggered_step = staggered;
  auto table = times(job, plan);
  edit(table);
  return check(job, plan, table);
}
void move(timetable& t, rank_id r, std::size_t i, ticks by) {
  t.times[r][i].start += by;
  t.times[r][i].end += by;
}

TEST(rules, times_of_a_measure_break_none) {
  for (bool const staggered : {false, true}) EXPECT_TRUE(timed(staggered, [](auto&) {}).empty());
}

TEST(rules, untimed) {
  auto const found = timed(false, [](auto& t) { t.times[second].pop_back(); });
  ASSERT_EQ(rules(found), std::vector{rule::untimed});
  EXPECT_EQ(found[0].count, 6);
  EXPECT_EQ(found[0].limit, 7);
  EXPECT_EQ(rules(timed(false, [](auto& t) { t.times.resize(3); })), std::vector{rule::untimed});
}

TEST(rules, duration) {
  auto const found = timed(false, [](auto& t) { t.times[second][6].end += 1; });
  ASSERT_EQ(rules(found), std::vector{rule::duration});
  EXPECT_EQ(found[0].count, 3);
  EXPECT_EQ(found[0].limit, 2);
}

TEST(rules, early) {
  auto const found = timed(false, [](auto& t) { move(t, first, 0, -1); });
  ASSERT_EQ(rules(found), std::vector{rule::early});
  EXPECT_EQ(found[0].count, -1);
}

TEST(rules, overlap) {
  auto const found = timed(false, [](auto& t) { move(t, first, 0, 1); });
  ASSERT_EQ(rules(found),
            (std::vector{rule::overlap,
                         rule::dependency}));  // its successor on the worker, and on the next stage
  EXPECT_EQ(found[0].index, 1);
  EXPECT_EQ(found[0].count, 1);
  EXPECT_EQ(found[0].limit, 2);
}

TEST(rules, dependency_counts_the_transfer) {
  auto const found = timed(false, [](auto& t) { move(t, second, 0, -1); });
  ASSERT_EQ(rules(found), std::vector{rule::dependency});
  EXPECT_EQ(found[0].related, (operation{F, 0, 0, 0}));
  EXPECT_EQ(found[0].count, 1);
  EXPECT_EQ(found[0].limit, 2);  // the forward ends at 1, the transfer takes 1
}

TEST(rules, early_step) {
  // worker 0:1 ends before 0:0: it may step then only if the step is staggered
  auto const job = small_job();
  auto const table = times(job, one_f_one_b{}(job).plan);
  ticks const idle = table.times[second][6].start - table.times[second][5].end;
  ASSERT_GT(idle, 0);
  auto const found = timed(false, [&](auto& t) { move(t, second, 6, -idle); });
  ASSERT_EQ(rules(found), std::vector{rule::early_step});
  EXPECT_EQ(found[0].related, (operation{B, 0, 0, 2}));
  EXPECT_EQ(found[0].limit - found[0].count, idle);
  EXPECT_TRUE(timed(true, [](auto&) {}).empty());
  // staggered it waits for its own peer alone
  auto const peers = timed(true, [](auto& t) { move(t, second, 6, -1); });
  ASSERT_EQ(rules(peers), (std::vector{rule::overlap, rule::early_step}));
}

// Ranks with several stages. Two ranks hold four stages in a V: rank 0 stages 0 and 3, rank 1
// stages 1 and 2; two micro-batches, split.
pipeline_job v_job() {
  return {.stages = 4, .microbatches = 2, .layout = stage_layout::v_shaped()};
}
pipeline_schedule v_plan() {
  auto const step = [](stage_id s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule plan{.staggered_step = true};
  plan.order = {{{F, 0, 0, 0},
                 {F, 0, 0, 1},
                 {F, 0, 3, 0},
                 {I, 0, 3, 0},
                 {F, 0, 3, 1},
                 {I, 0, 3, 1},
                 {W, 0, 3, 0},
                 {W, 0, 3, 1},
                 step(3),
                 {I, 0, 0, 0},
                 {W, 0, 0, 0},
                 {I, 0, 0, 1},
                 {W, 0, 0, 1},
                 step(0)},
                {{F, 0, 1, 0},
                 {F, 0, 2, 0},
                 {F, 0, 1, 1},
                 {F, 0, 2, 1},
                 {I, 0, 2, 0},
                 {I, 0, 1, 0},
                 {I, 0, 2, 1},
                 {I, 0, 1, 1},
                 {W, 0, 2, 0},
                 {W, 0, 2, 1},
                 step(2),
                 {W, 0, 1, 0},
                 {W, 0, 1, 1},
                 step(1)}};
  return plan;
}
std::vector<pipeline_violation> v_after(change const& edit, pipeline_job const& job = v_job()) {
  auto plan = v_plan();
  edit(plan);
  return check(job, plan);
}

TEST(chunks, a_plan_breaks_none) {
  EXPECT_TRUE(v_after([](auto&) {}).empty());
  EXPECT_TRUE(check(v_job(), v_plan(), times(v_job(), v_plan())).empty());
}

TEST(chunks, every_rank_keeps_to_the_stages_it_holds) {
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

TEST(chunks, a_step_for_every_stage_after_all_of_it) {
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

TEST(chunks, both_replicas_of_a_bidirectional_job) {
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

TEST(chunks, stash_weights_and_a_cap_for_each_rank) {
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

// On rank 0, I3(0) next to F3(1).
pipeline_schedule paired(std::vector<std::int32_t> pairs) {
  auto plan = v_plan();
  plan.overlapped = {std::move(pairs), {}};
  return plan;
}

TEST(pairs, stand_in_the_list_and_apart) {
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

TEST(pairs, are_a_forward_and_a_gradient_of_other_micro_batches) {
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

TEST(pairs, need_both_inputs_when_they_start) {
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

TEST(pairs, have_one_time_and_gain) {
  auto job = v_job();
  job.costs = {.forward = 5, .backward_input = 4, .backward_weight = 2, .overlap_gain = 3};
  auto const plan = paired({3});
  auto const table = times(job, plan);
  EXPECT_TRUE(check(job, plan, table).empty());
  EXPECT_EQ(table.times[0][3].end - table.times[0][3].start, 5 + 4 - 3);
  auto const broken = [&](auto const& edit) {
    auto changed = table;
    edit(changed.times[0]);
    return rules(check(job, plan, changed));
  };
  EXPECT_EQ(broken([](auto& t) { t[4].end += 1; }),
            (std::vector{rule::apart, rule::overlap, rule::dependency}));
  EXPECT_EQ(broken([](auto& t) { t[4].start += 1; }), std::vector{rule::apart});
  EXPECT_EQ(broken([](auto& t) { t[3].start += 1; }), (std::vector{rule::duration, rule::apart}));
  // as one after the other
  EXPECT_EQ(broken([](auto& t) {
              t[3].end = t[3].start + 4;
              t[4].start = t[3].end;
            }),
            (std::vector{rule::duration, rule::apart, rule::apart}));
}

TEST(rules, links_within_and_between_nodes) {
  pipeline_job job{.stages = 3,
                   .microbatches = 1,
                   .transfer = {1, 7, 2}};  // ranks 0 and 1 on a node, 2 on another
  auto const plan = one_f_one_b{}(job).plan;
  auto table = times(job, plan);
  EXPECT_TRUE(check(job, plan, table).empty());
  for (auto& of_rank : table.times)
    for (auto& t : of_rank) t = {t.start - 1, t.end - 1};
  table.times[0][0] = {0, 1};
  auto const found = check(job, plan, table);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].rule, rule::dependency);
  EXPECT_EQ(found[0].limit - found[0].count, 1);
}

// Schedules that a field's validators were seen to accept.
TEST(seen_elsewhere, lists_of_operations) {
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

// Messages. The V above with its messages in place, changed.
std::vector<rule> v_messages(std::function<void(pipeline_actions&)> const& edit,
                             message_lanes lanes = message_lanes::one_per_edge) {
  auto actions = place_messages(v_job(), v_plan(), lanes);
  edit(actions);
  return rules(check(v_job(), v_plan(), actions));
}
std::size_t find(pipeline_actions const& a, rank_id r, action_kind kind, operation const& o) {
  auto const& list = a.lists[r];
  return static_cast<std::size_t>(
      std::find_if(list.begin(), list.end(),
                   [&](auto const& x) { return x.kind == kind && x.op == o; }) -
      list.begin());
}
constexpr auto sends = action_kind::send, receives = action_kind::receive;

TEST(messages, in_place_break_no_rule) {
  for (auto const lanes :
       {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge})
    EXPECT_TRUE(v_messages([](auto&) {}, lanes).empty());
}

TEST(messages, none_at_all) {
  auto const found = v_messages([](auto& a) {
    for (auto& list : a.lists)
      std::erase_if(list, [](auto const& x) { return x.kind != action_kind::compute; });
  });
  EXPECT_EQ(
      found,
      std::vector(
          8, rule::not_received));  // F1 F3 I2 I0 of two micro-batches; 2 is handed over on rank 1
}

TEST(messages, without_a_counterpart) {
  EXPECT_EQ(v_messages([](auto& a) {
              std::erase_if(a.lists[0], [](auto const& x) { return x.kind == sends; });
            }),
            std::vector(4, rule::unmatched));
  auto const drop = [](action_kind kind, operation const& o, rank_id r) {
    return v_messages([&](auto& a) {
      a.lists[r].erase(a.lists[r].begin() + static_cast<std::ptrdiff_t>(find(a, r, kind, o)));
    });
  };
  auto const unsent = drop(sends, {F, 0, 0, 1}, 0);
  EXPECT_EQ(std::count(unsent.begin(), unsent.end(), rule::unmatched), 1);
  auto const unreceived = drop(receives, {F, 0, 0, 1}, 1);
  EXPECT_EQ(std::count(unreceived.begin(), unreceived.end(), rule::unmatched), 1);
  EXPECT_EQ(std::count(unreceived.begin(), unreceived.end(), rule::not_received), 1);
}

TEST(messages, twice) {
  auto const again = [](action_kind kind, rank_id r) {
    return v_messages([&](auto& a) {
      auto const at = static_cast<std::ptrdiff_t>(find(a, r, kind, {F, 0, 0, 0}));
      auto const copy = *(a.lists[r].begin() + at);
      a.lists[r].insert(a.lists[r].begin() + at, copy);
    });
  };
  for (auto const& found : {again(sends, 0), again(receives, 1)})
    EXPECT_EQ(std::count(found.begin(), found.end(), rule::repeated), 1);
}

TEST(messages, before_they_are_made_or_after_they_are_needed) {
  EXPECT_EQ(v_messages([](auto& a) { std::swap(a.lists[0][0], a.lists[0][1]); }),
            std::vector{rule::sent_early});
  EXPECT_EQ(v_messages([](auto& a) { std::swap(a.lists[1][0], a.lists[1][1]); }),
            std::vector{rule::not_received});
}

TEST(messages, that_the_job_does_not_know) {
  auto const with = [](auto const& edit) {
    return v_messages([&](auto& a) { edit(a.lists[0][1]); })[0];
  };
  EXPECT_EQ(with([](auto& x) { x.op.microbatch = 2; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.op.stage = 3; }),
            rule::bad_message);  // nobody needs what the last stage makes
  EXPECT_EQ(with([](auto& x) { x.op.kind = W; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.peer = 0; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.peer = 2; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.lane = 0; }), rule::bad_message);
}

TEST(messages, that_overtake_each_other) {
  // receives put off, as a transport that ignores tags can't bear: gradients of a V and activations
  // go from rank 1 to rank 0
  auto const found = v_messages([](auto& a) {
    auto& list = a.lists[1];
    auto const first_one = find(a, 1, receives, {I, 0, 3, 0}),
               other = find(a, 1, receives, {I, 0, 3, 1});
    std::swap(list[first_one], list[other]);
  });
  EXPECT_EQ(found, (std::vector{rule::not_received, rule::overtaken, rule::overtaken}));
  // the sender's order alone
  EXPECT_EQ(v_messages([](auto& a) {
              auto& list = a.lists[0];
              auto const from = find(a, 0, sends, {F, 0, 0, 0}),
                         to = find(a, 0, sends, {F, 0, 0, 1});
              std::rotate(list.begin() + static_cast<std::ptrdiff_t>(from),
                          list.begin() + static_cast<std::ptrdiff_t>(from) + 1,
                          list.begin() + static_cast<std::ptrdiff_t>(to) + 1);
            }),
            (std::vector{rule::overtaken, rule::overtaken}));
}

TEST(messages, computing_that_is_not_the_schedules) {
  EXPECT_EQ(v_messages([](auto& a) { a.lists[1].pop_back(); }), std::vector{rule::altered});
  EXPECT_EQ(v_messages([](auto& a) { a.lists[1].back().op.kind = W; }), std::vector{rule::altered});
  EXPECT_EQ(v_messages([](auto& a) { a.lists.resize(1); }), std::vector{rule::lists});
}

// Two ranks that send to each other at once: on one lane, each with its send first, nobody ever
// receives.
TEST(messages, that_wait_for_each_other_on_shared_lanes) {
  pipeline_job const job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .layout = stage_layout::bidirectional()};
  auto const step = [](stage_id s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule plan;
  plan.order = {{{F, 0, 0, 0}, {F, 1, 1, 0}, {B, 1, 1, 0}, {B, 0, 0, 0}, step(0), step(1)},
                {{F, 1, 0, 0}, {F, 0, 1, 0}, {B, 0, 1, 0}, {B, 1, 0, 0}, step(0), step(1)}};
  for (auto const lanes :
       {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge}) {
    auto actions = place_messages(job, plan, lanes);
    EXPECT_TRUE(check(job, plan, actions).empty());
    EXPECT_TRUE(check_rendezvous(lower(job, plan, {}, lanes)).empty());
    for (rank_id r :
         {0,
          1}) {  // what comes naturally: a send right after its operation, a receive right before
      auto& list = actions.lists[r];
      auto const send = find(actions, r, sends, {F, r.value(), 0, 0}),
                 receive = find(actions, r, receives, {F, 1 - r.value(), 0, 0});
      if (receive < send) std::swap(list[send], list[receive]);
    }
    auto const found = check(job, plan, actions);
    EXPECT_EQ(rules(found), lanes == message_lanes::one_per_edge ? std::vector<rule>{}
                                                                 : std::vector{rule::deadlock})
        << to_string(lanes);
  }
}

// What a broken job is told: the field, and the value in the text.
struct refusal {
  pipeline_job job;
  std::string field, part;
};

TEST(broken_jobs, are_told_what_is_wrong) {
  constexpr ticks huge = std::numeric_limits<ticks>::max() / 4;
  auto const with = [](auto const& edit) {
    pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 4};
    edit(job);
    return job;
  };
  std::vector<refusal> const all = {
      {with([](auto& j) { j.pipelines = 0; }), "pipelines", "is 0"},
      {with([](auto& j) { j.stages = -1; }), "stages", "is -1"},
      {with([](auto& j) { j.microbatches = 0; }), "microbatches", "is 0"},
      {with([](auto& j) { j.pipelines = j.stages = 1 << 20; }), "pipelines", "32 bits"},
      {with([](auto& j) { j.microbatches = 1 << 30; }), "microbatches", "32 bits"},
      {with([](auto& j) { j.costs.forward = 0; }), "costs.forward", "is 0"},
      {with([](auto& j) { j.costs.forward = {1, 2}; }), "costs.forward", "2 values for 3 stages"},
      {with([](auto& j) { j.costs.backward_input = {1, 0, 1}; }), "costs.backward_input[1]",
       "is 0"},
      {with([](auto& j) { j.costs.backward_weight = {1, 0, -5}; }), "costs.backward_weight[2]",
       "is -5"},
      {with([](auto& j) { j.costs.step = -1; }), "costs.step", "is -1"},
      {with([](auto& j) { j.transfer = -2; }), "transfer", "is -2"},
      {with([&](auto& j) { j.costs.forward = huge; }), "costs.forward", "62 bits"},
      {with([&](auto& j) { j.transfer = huge; }), "transfer", "62 bits"},
      {with([](auto& j) { j.memory = stash_cap::per_worker(0); }), "memory", "is 0"},
      {with([](auto& j) { j.dead = {{0, 0}, {2, 1}}; }), "dead[1]", "worker 2:1 is not one of"},
      {with([](auto& j) { j.dead = {{1, 1}, {1, 1}}; }), "dead[1]", "worker 1:1 is named twice"},
  };
  for (auto const& [job, field, part] : all) {
    auto const expect = [&](auto const& act) {
      try {
        act(job);
        ADD_FAILURE() << field << ": nothing thrown";
      } catch (invalid_problem const& refused) {
        EXPECT_EQ(refused.field(), field);
        EXPECT_NE(std::string(refused.what()).find(part), std::string::npos) << refused.what();
      }
    };
    expect([](auto const& j) { validate(j); });
    expect([](auto const& j) { (void)one_f_one_b{}(j); });
    expect([](auto const& j) { (void)check(j, {}); });
    expect([](auto const& j) { (void)lower(j, {}); });
  }
}

TEST(broken_jobs, zero_costs_that_are_allowed) {
  pipeline_job const job{
      .stages = 3, .microbatches = 4, .costs = {.backward_weight = 0, .step = 0}};
  auto const plan = zb_h1{}(job).plan;
  EXPECT_TRUE(check(job, plan, times(job, plan)).empty());
}

TEST(broken_jobs, tensors_and_joins) {
  auto job = small_job();
  job.dead = {{1, 1}};
  EXPECT_THROW((void)lower(job, {}, {.gradient = 12}), invalid_problem);
  EXPECT_THROW((void)lower(job, {}, {.stash = -8}), invalid_problem);
  EXPECT_THROW((void)lower(job, {}, {.state = {8, 8, 8}}), invalid_problem);
  EXPECT_THROW((void)lower_join(job, {{0, 1}}), invalid_problem);
  job.dead = {{0, 1}, {1, 1}};
  EXPECT_THROW((void)lower_join(job, {{0, 1}}), invalid_problem);
  EXPECT_THROW((void)lower(small_job(), {}), invalid_program);
  EXPECT_THROW((void)times(small_job(),
                           [] {
                             auto plan = one_f_one_b{}(small_job()).plan;
                             std::swap(plan.order[first][1], plan.order[first][2]);
                             std::swap(plan.order[second][1], plan.order[second][2]);
                             return plan;
                           }()),
               std::invalid_argument);
}

}  // namespace
