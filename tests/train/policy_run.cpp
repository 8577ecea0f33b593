#include "shunt/train/policy_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/train/bamboo_policy.hpp"
#include "shunt/train/best_policy.hpp"
#include "shunt/train/drop_policy.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "shunt/train/regroup_policy.hpp"
#include "support/dense_training.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/slow_dense_work.hpp"

namespace shunt::tests::policy_run_test {
namespace {

static_assert(rearrangeable_trainee<dense_work>);

/// A run, and what it came to.
template <class Policy>
struct trial {
  trial(pipeline_training const& t, Policy policy = {})
      : work(dense_work_of(t)), run(work, policy) {}

  template <class Executor>
  void operator()(Executor const& executor) {
    report = run(executor);
    outcome = {run.losses(), parameters_of(work, report.dead)};
  }
  // The changes that were made to last.
  [[nodiscard]] std::vector<rearrangement> settled() const {
    auto all = run.changes();
    std::erase_if(all, [](rearrangement const& c) { return c.next.interim; });
    return all;
  }

  dense_work work;
  pipeline_run<dense_work, Policy> run;
  recovery_report report{};
  trained_bits outcome{};
};

template <class Policy>
std::int32_t length_of(pipeline_training const& t, rank_id r) {
  trial<Policy> calm(t);
  return static_cast<std::int32_t>(calm.run.plan().iteration->ranks[r].instructions.size());
}

/// Bamboo, whose pipelines are formed anew after fatal losses alone.
struct bamboo_by_coordinator : bamboo_policy<> {
  bamboo_by_coordinator()
      : bamboo_policy<>{{.rendezvous = {bamboo_rendezvous::rules::coordinator}}} {}
};

template <class Policy>
inline constexpr bool by_coordinator = std::is_same_v<Policy, bamboo_by_coordinator>;

template <class Policy>
class policies : public testing::Test {};
using all_policies =
    testing::Types<oobleck_policy<>, oobleck_policy<zb_h1>, drop_policy<>, regroup_policy<>,
                   bamboo_policy<>, bamboo_by_coordinator, best_policy<>>;
TYPED_TEST_SUITE(policies, all_policies);

TYPED_TEST(policies, without_losses_a_run_is_the_undisturbed_one) {
  auto const t = dense_training(3, 3, 3);
  trial<TypeParam> all(t);
  all(inline_executor{});
  EXPECT_EQ(all.outcome, undisturbed(t));
  EXPECT_TRUE(all.run.changes().empty());
  EXPECT_EQ(all.report.sessions.size(), 1U);
}

TYPED_TEST(policies, one_loss_anywhere_leaves_the_same_bits) {
  auto const t = dense_training(3, 3, 2);
  auto const expected = undisturbed(t);
  for (rank_id const r : ids<rank_id>(t.job.ranks()))
    for (std::int32_t at = 0, length = length_of<TypeParam>(t, r); at <= length; at += 3) {
      SCOPED_TRACE(to_string(r) + " at " + std::to_string(at));
      trial<TypeParam> all(t);
      all(inline_executor{.failures = {{r, 1, at}}});
      EXPECT_EQ(all.report.stopped, "");
      EXPECT_EQ(all.outcome, expected);
      EXPECT_EQ(all.settled().size(), 1U);
      EXPECT_GE(all.run.changes().at(0).redone, 1);
      for (auto const& c : all.run.changes()) EXPECT_EQ(c.dead, std::vector<rank_id>{r});
    }
}

TYPED_TEST(policies, a_second_loss_in_the_next_iteration_leaves_the_same_bits) {
  auto const t = dense_training(3, 3, 2, 5);
  auto const expected = undisturbed(t);
  for (rank_id const second : ids<rank_id>(t.job.ranks()))
    for (std::int64_t const when : {1, 2}) {
      if (second == 4) continue;
      SCOPED_TRACE(to_string(second) + " in " + std::to_string(when));
      trial<TypeParam> all(t);
      all(inline_executor{.failures = {{4, 1, 5}, {second, when, 4}}});
      EXPECT_EQ(all.report.stopped, "");
      EXPECT_EQ(all.outcome, expected);
    }
}

TYPED_TEST(policies, a_loss_while_states_move_leaves_the_same_bits) {
  auto const t = dense_training(3, 3, 2);
  auto const expected = undisturbed(t);
  int struck = 0;
  for (rank_id const second : ids<rank_id>(t.job.ranks()))
    for (std::int32_t at = 0; at < 4; ++at) {
      if (second == 2 || second == 5 || second == 8) continue;
      SCOPED_TRACE(to_string(second) + " at " + std::to_string(at));
      trial<TypeParam> all(t);
      all(inline_executor{.failures = {{2, 1, 5}, {5, 1, 5}, {second, transfer_iteration, at}}});
      EXPECT_EQ(all.report.stopped, "");
      EXPECT_EQ(all.outcome, expected);
      struck += all.report.losses.size() == 2;
      if (!by_coordinator<TypeParam>) {
        EXPECT_EQ(all.settled().size(), 1U);
      }
    }
  bool const moves = TypeParam::name != drop_policy<>::name && !by_coordinator<TypeParam>;
  EXPECT_EQ(struck > 0, moves);
}

TYPED_TEST(policies, ranks_that_are_dead_at_the_start_take_no_part) {
  auto t = dense_training(3, 3, 2);
  auto const expected = undisturbed(t);
  t.job.dead = {{1, 1}};
  trial<TypeParam> all(t);
  all(inline_executor{});
  EXPECT_EQ(all.outcome, expected);
  EXPECT_EQ(all.settled().size(), 1U);
  EXPECT_EQ(all.run.changes().at(0).iteration, 0);
  EXPECT_EQ(all.run.changes()[0].redone, 0);
}

TYPED_TEST(policies, threads_train_the_same_bits) {
  auto const t = dense_training(3, 3, 3, 8);
  auto const expected = undisturbed(t);
  for (std::int32_t at = 0; at < 20; at += 5) {
    trial<TypeParam> all(t);
    all(thread_executor{.failures = {{4, 2, at}, {0, 5, 7}},
                        .timeout = std::chrono::milliseconds(5)});
    EXPECT_EQ(all.report.stopped, "");
    EXPECT_EQ(all.outcome, expected);
  }
}

TYPED_TEST(policies, random_histories_leave_the_same_bits_or_say_why_they_stop) {
  random_cases d(83);
  int finished = 0;
  for (int round = 0; round < 60; ++round) {
    auto const pipelines = d.roll(2, 4), stages = d.roll(1, 4), microbatches = d.roll(1, 3);
    auto t = dense_training(pipelines, stages, microbatches, 6);
    std::vector<failure_point> failures;
    std::string history;
    for (auto n = d.roll(1, 4); n > 0; --n) {
      failures.push_back({d.roll(0, t.job.ranks() - 1), d.roll(-1, 5), d.roll(0, 12)});
      history += " " + to_string(failures.back().rank) + "@" +
                 std::to_string(failures.back().iteration) + "+" +
                 std::to_string(failures.back().instruction);
    }
    SCOPED_TRACE(std::to_string(round) + ":" + history);
    trial<TypeParam> all(t);
    all(inline_executor{.failures = failures});
    auto expected = undisturbed(t);
    if (all.report.stopped.empty()) {
      ++finished;
      EXPECT_EQ(all.outcome, expected);
    } else {
      EXPECT_NE(all.report.stopped.find(": "), std::string::npos) << all.report.stopped;
      EXPECT_EQ(all.report.stopped.find('\n'), std::string::npos);
      expected.losses.resize(all.outcome.losses.size());
      EXPECT_EQ(all.outcome.losses, expected.losses);
    }
  }
  EXPECT_GT(finished, 30);
}

TYPED_TEST(policies, plans_after_losses_are_those_that_a_run_follows) {
  auto const t = dense_training(3, 3, 2);
  trial<TypeParam> all(t);
  auto const first = *all.run.plan_after({{4}}).iteration,
             second = *all.run.plan_after({{4}, {8}}).iteration;
  std::vector<program> followed;
  all.run.on_change = [&](rearrangement const& r, planned_iteration const& p) {
    if (!r.next.interim) followed.push_back(*p.iteration);
  };
  all(inline_executor{.failures = {{4, 0, 5}, {8, 1, 6}}});
  EXPECT_EQ(followed, (std::vector<program>{first, second}));
  for (auto const& p : followed) EXPECT_TRUE(check(p).empty());
  EXPECT_EQ(field_of([&] { (void)all.run.plan_after({{0, 2, 3, 5, 6, 8}}); }), "plan");
}

TYPED_TEST(policies, refuse_what_they_can_not_do) {
  auto t = dense_training(2, 2, 2);
  trial<TypeParam> all(t);
  EXPECT_EQ(field_of([&] { (void)all.run(inline_executor{}, {.end = 4, .joins = {{1, 2}}}); }),
            "joins");
  t.clip = 1;
  EXPECT_EQ(field_of([&] { trial<TypeParam> other(t); }), "policy");
}

template <class Policy>
std::string stopped_by(std::vector<failure_point> failures) {
  auto const t = dense_training(2, 3, 2);
  trial<Policy> all(t);
  all(inline_executor{.failures = std::move(failures)});
  EXPECT_EQ(all.report.end, 1);
  auto expected = undisturbed(t).losses;
  expected.resize(1);
  EXPECT_EQ(all.outcome.losses, expected);
  return all.report.stopped;
}

TEST(policy_run, state_that_is_lost_ends_the_run_with_a_reason) {
  std::vector<failure_point> const both{{1, 1, 3}, {4, 1, 3}};
  EXPECT_EQ(stopped_by<oobleck_policy<>>(both),
            "no plan for iteration 1 without ranks 1 4: no live rank has the state of stage 1");
  EXPECT_EQ(stopped_by<drop_policy<>>(both),
            "no plan for iteration 1 without ranks 1 4: every pipeline has lost a rank");
  // The last holder is lost on the way.
  EXPECT_EQ(stopped_by<oobleck_policy<>>({{1, 1, 3}, {4, transfer_iteration, 0}}),
            "no plan for iteration 1 without ranks 1 4: no live rank has the state of stage 1");
}

TEST(policy_run, what_a_change_cost) {
  auto const t = dense_training(3, 4, 6, 5);
  trial<oobleck_policy<>> all(t);
  all(inline_executor{.failures = {{6, 3, 20}}});
  ASSERT_EQ(all.run.changes().size(), 1U);
  auto const& change = all.run.changes()[0];
  EXPECT_EQ(change.iteration, 3);
  EXPECT_EQ(change.dead, std::vector<rank_id>{6});
  EXPECT_TRUE(change.waiting.empty());
  EXPECT_EQ(change.redone, 1);
  EXPECT_EQ(change.next.job.pipelines, 3);
  EXPECT_EQ(change.next.job.total_microbatches(), 18);
  EXPECT_GE(change.copies, 1);
  EXPECT_EQ(change.bytes, change.copies * all.work.tensors().state[0]);
  EXPECT_EQ(all.run.iterations().back().live, 11);

  trial<drop_policy<>> dropped(t);
  dropped(inline_executor{.failures = {{6, 3, 20}}});
  EXPECT_EQ(dropped.run.changes()[0].waiting, (std::vector<rank_id>{4, 5, 7}));
  EXPECT_EQ(dropped.run.changes()[0].bytes, 0);
}

// What the ranks received is what the planner priced: stages are of unlike sizes.
TEST(policy_run, bytes_that_move_under_the_best_policy_are_those_of_its_plan) {
  random_cases d(97);
  int moves = 0;
  for (int round = 0; round < 24; ++round) {
    SCOPED_TRACE(round);
    pipeline_training t = dense_training(d.roll(2, 3), d.roll(2, 4), d.roll(1, 4), 2);
    t.job.costs.forward = d.costs(t.job.stages, 1, 6);
    auto const lost = t.job.worker_of(rank_id(d.roll(0, t.job.ranks() - 1)));
    best_policy<> policy;
    dense_work sized = dense_work_of(t);
    policy.state = sized.tensors().state;
    policy.planner.effort = 30'000;
    trial<best_policy<>> all(t, policy);
    all(inline_executor{.failures = {{t.job.rank_of(lost), 1, 0}}});
    ASSERT_EQ(all.run.changes().size(), 1U);
    auto const& change = all.run.changes()[0];
    worker_losses losses{.job = t.job, .state = policy.state};
    losses.job.dead = {lost};
    auto const plan = policy.planner(losses).plan;
    auto const chosen = std::find_if(plan.moves.begin(), plan.moves.end(),
                                     [&](priced_move const& m) { return m.what == plan.move; });
    ASSERT_NE(chosen, plan.moves.end());
    EXPECT_EQ(change.bytes, chosen->moved);
    moves += change.bytes > 0;
  }
  EXPECT_GT(moves, 5);
}

TEST(policy_run, regrouped_ranks_go_back_to_the_last_checkpoint) {
  auto const t = dense_training(3, 3, 2, 9);
  auto const expected = undisturbed(t);
  for (std::int64_t const every : {1, 2, 3, 20}) {
    SCOPED_TRACE(every);
    trial<regroup_policy<>> all(t, {{.every = every}});
    std::vector<std::int64_t> ran;
    all.run.on_iteration = [&](trained_iteration const& i) { ran.push_back(i.iteration); };
    all(inline_executor{.failures = {{4, 5, 5}}});
    EXPECT_EQ(all.outcome, expected);
    ASSERT_EQ(all.run.changes().size(), 1U);
    auto const& change = all.run.changes()[0];
    EXPECT_EQ(change.iteration, 5 / every * every);
    EXPECT_EQ(change.redone, 5 % every + 1);
    EXPECT_EQ(change.waiting, (std::vector<rank_id>{3, 5}));
    EXPECT_EQ(std::ssize(ran), 9 + 5 % every);
  }
}

// The ranks that wait have no state of their own after a while; those of the last checkpoint have.
TEST(policy_run, a_rank_that_waited_takes_a_part_again) {
  auto const t = dense_training(3, 2, 2, 12);
  auto const expected = undisturbed(t);
  for (std::int64_t const every : {1, 4})
    for (std::int64_t const when : {4, 5, 7, 9, 11}) {
      trial<regroup_policy<>> all(t, {{.every = every}});
      all(inline_executor{.failures = {{2, 3, 4}, {0, when, 4}}});
      EXPECT_EQ(all.outcome, expected);
      ASSERT_EQ(all.run.changes().size(), 2U);
      EXPECT_TRUE(all.run.changes()[1].waiting.empty());
      EXPECT_GE(all.run.changes()[1].copies, 1);
    }
}

// A rank becomes slow and gives away layers, another one dies, and a third: the same bits.
TEST(best_policy_run, slow_ranks_and_losses_leave_the_same_bits) {
  auto const t = dense_training(3, 3, 3, 14);
  auto const expected = undisturbed(t);
  bool named = false;
  for (int attempt = 0; attempt < 3 && !named; ++attempt) {  // other work may hide it
    slow_work work(t);
    work.stretch_by({{4, 6, 1}});
    pipeline_run run(work, best_policy<>{{.planner = {.effort = 50'000}}});
    run.watch({.tolerated = 1.7});
    std::int64_t since = -1;
    run.on_slow = [&](slow_verdicts const& v, std::int64_t i) {
      if (v[4].slow() && since < 0) since = i;
    };
    auto const report = run(inline_executor{.failures = {{0, 7, 4}, {8, 10, 3}}});
    EXPECT_EQ(report.stopped, "");
    EXPECT_EQ((trained_bits{run.losses(), parameters_of(work, report.dead)}), expected);
    EXPECT_EQ(run.iterations().size(), 14U);
    if (since < 0) continue;
    named = true;
    EXPECT_GE(since, 3);
    auto const change = std::find_if(run.changes().begin(), run.changes().end(),
                                     [&](rearrangement const& c) { return c.iteration == since; });
    ASSERT_NE(change, run.changes().end());
    EXPECT_EQ(change->redone, 0);  // without a loss nothing is done again
    EXPECT_FALSE(change->next.job.uneven());
    std::int64_t most = 0, slow = 0;  // forwards of a rank, and of the slow one
    for (rank_id const r : ids<rank_id>(change->next.members.size())) {
      auto const& list = change->next.schedule.order[r];
      auto const n = std::count_if(list.begin(), list.end(),
                                   [](operation const& o) { return o.kind == op_kind::forward; });
      most = std::max<std::int64_t>(most, n);
      if (change->next.members[r.index()] == 4) slow = n;
    }
    EXPECT_LT(2 * slow, most);
  }
  EXPECT_TRUE(named);
}

TEST(best_policy_run, watches_no_ranks_whose_costs_differ_already) {
  auto t = dense_training(2, 2, 2, 3);
  t.job.costs.forward = {1, 2, 1, 1};
  slow_work work(t);
  pipeline_run run(work, best_policy<>{{}, slipstream{.effort = 5'000}});
  EXPECT_EQ(field_of([&] { run.watch(); }), "costs");
}

}  // namespace
}  // namespace shunt::tests::policy_run_test
