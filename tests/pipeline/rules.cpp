// The judge: every rule is broken once, by hand, and found; and what a broken job is told.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;
using rule = pipeline_rule;
constexpr auto F = op_kind::forward, B = op_kind::backward, I = op_kind::backward_input, W = op_kind::backward_weight;

// Two pipelines, two stages, three micro-batches: worker 0:0 does F0 F1 B0 F2 B1 B2, worker 0:1 does F0 B0 F1 B1 F2 B2, each a step after.
pipeline_job small_job() { return {.pipelines = 2, .stages = 2, .microbatches = 3, .costs = {.step = 2}, .transfer = 1}; }
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
  for (operation const o : {operation{F, 2, 0, 0}, operation{F, 0, 2, 0}, operation{F, 0, 0, 3}, operation{F, -1, 0, 0},
                            operation{op_kind::route, 0, 0, 0}, operation{op_kind::step, 0, 0, 1}}) {
    auto const found = after([&](auto& p) { p.order[first].insert(p.order[first].begin() + 2, o); });
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
  EXPECT_EQ(to_string(found[2]), "dead_worker: worker 1:0, operation 2 (backward of micro-batch 1:0 at stage 0): the worker is dead");
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
  auto const twice = after([](auto& p) { p.order[first].insert(p.order[first].begin() + 1, {F, 0, 0, 0}); });
  ASSERT_EQ(rules(twice), std::vector{rule::repeated});
  EXPECT_EQ(twice[0].related, (operation{F, 0, 0, 0}));
  EXPECT_EQ(twice[0].index, 1);
  // on another worker
  EXPECT_EQ(rules_after([](auto& p) { p.order[other_first].insert(p.order[other_first].begin(), {F, 0, 0, 0}); }),
            std::vector{rule::repeated});
  // fused and split at once
  auto const both = after([](auto& p) { p.order[second].insert(p.order[second].begin() + 2, {W, 0, 1, 0}); });
  ASSERT_EQ(rules(both), std::vector{rule::repeated});
  EXPECT_EQ(both[0].related.kind, B);
  // a second step
  EXPECT_EQ(rules_after([](auto& p) { p.order[second].push_back({.kind = op_kind::step, .stage = 1}); }), std::vector{rule::repeated});
}

TEST(rules, missing) {
  auto const no_forward = after([](auto& p) { p.order[second].erase(p.order[second].begin()); });
  ASSERT_EQ(rules(no_forward), std::vector{rule::missing});
  EXPECT_EQ(no_forward[0].operation, (operation{F, 0, 1, 0}));
  EXPECT_EQ(to_string(no_forward[0]), "missing: nobody computes the forward of micro-batch 0:0 at stage 1");
  auto const no_backward = after([](auto& p) { p.order[second].erase(p.order[second].begin() + 1); });
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
  ASSERT_EQ(rules(early), (std::vector{rule::step_not_last, rule::cycle}));  // the step waits for what stands after it
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
  EXPECT_EQ(found[0].count, 14);  // six of each worker, their steps and, not being staggered, those of all others
  EXPECT_EQ(to_string(found[0]), "cycle: worker 0:0, operation 1 (backward of micro-batch 0:0 at stage 0): can't start, nor can 13 others: "
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
  ASSERT_EQ(rules(found), (std::vector{rule::overlap, rule::dependency}));  // its successor on the worker, and on the next stage
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
      {with([](auto& j) { j.costs.backward_input = {1, 0, 1}; }), "costs.backward_input[1]", "is 0"},
      {with([](auto& j) { j.costs.backward_weight = {1, 0, -5}; }), "costs.backward_weight[2]", "is -5"},
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
  pipeline_job const job{.stages = 3, .microbatches = 4, .costs = {.backward_weight = 0, .step = 0}};
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
