#include "shunt/train/bamboo_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/stage_copies.hpp"
#include "shunt/solve/pipeline/shadow_failover.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/policy_run.hpp"
#include "support/dense_training.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::bamboo_policy_test {
namespace {

pipeline_job job_of(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches) {
  return dense_training(pipelines, stages, microbatches).job;
}

// The arrangement after losses, one after the other, under the coordinator's rule: no rendezvous
// but after a fatal loss.
solution<arrangement> after(pipeline_job const& job, std::vector<rank_id> const& losses) {
  bamboo_rule const rule{.rendezvous = {bamboo_rendezvous::rules::coordinator}};
  solution<arrangement> now{.plan = rule.start(job)};
  std::vector<rank_id> dead;
  for (rank_id const r : losses) {
    dead.push_back(r);
    std::sort(dead.begin(), dead.end());
    auto const& members = now.plan.members;
    if (std::find(members.begin(), members.end(), r) == members.end()) continue;
    now = rule({job, now.plan, dead});
    if (!now.has_plan()) break;
  }
  return now;
}

TEST(bamboo_policy, every_rank_starts_as_the_shadow_of_the_next_stage) {
  auto const start = bamboo_rule{}.start(job_of(2, 3, 2));
  EXPECT_EQ(start.shadows, (held_stages{{1}, {2}, {0}, {1}, {2}, {0}}));
  EXPECT_EQ(stages_held(start, 6), (held_stages{{0, 1}, {1, 2}, {0, 2}, {0, 1}, {1, 2}, {0, 2}}));
  EXPECT_TRUE(bamboo_rule{}.start(job_of(2, 1, 2)).shadows.empty());
}

TEST(bamboo_policy, a_shadow_takes_over_and_the_others_stay_shadows) {
  auto const job = job_of(2, 4, 5);
  auto const next = after(job, {6});
  ASSERT_TRUE(next.has_plan());
  EXPECT_EQ(workers_of(next.plan), (worker_ranks{{0, 1, 2, 3}, {4, 5, 5, 7}}));
  EXPECT_EQ(next.plan.members, (std::vector<rank_id>{0, 1, 2, 3, 4, 5, 7}));
  EXPECT_EQ(next.plan.shadows, (held_stages{{1}, {2}, {3}, {0}, {1}, {}, {0}}));
  EXPECT_EQ(next.plan.job.microbatches.values(), (std::vector<std::int32_t>{5, 5}));
  EXPECT_FALSE(next.plan.interim);
  // No state moves.
  EXPECT_TRUE(copies_between(stages_held(bamboo_rule{}.start(job), 8, std::vector<rank_id>{6}),
                             stages_held(next.plan, 8))
                  .empty());
  // The shadow of stage 0 is the last rank, which is no neighbour of the first takeover.
  EXPECT_EQ(workers_of(after(job, {6, 4}).plan), (worker_ranks{{0, 1, 2, 3}, {7, 5, 5, 7}}));
}

TEST(bamboo_policy, fatal_losses_form_pipelines_anew) {
  auto const job = job_of(2, 4, 5);
  // 5 has two stages; 7 has no shadow. Both leave one pipeline, which the free ranks complete.
  EXPECT_EQ(workers_of(after(job, {6, 5}).plan), (worker_ranks{{0, 1, 2, 3}}));
  EXPECT_EQ(workers_of(after(job, {6, 7}).plan), (worker_ranks{{0, 1, 2, 3}}));
  EXPECT_EQ(workers_of(after(job, {6, 1, 2}).plan), (worker_ranks{{4, 5, 0, 7}}));
  EXPECT_EQ(after(job, {6, 5}).plan.shadows, (held_stages{{1}, {2}, {3}, {0}}));
  EXPECT_EQ(after(job_of(1, 3, 2), {1, 0}).reason.view(),
            "rank 0 is lost, which has two stages; 1 live ranks don't fill a pipeline of 3");
  EXPECT_EQ(after(job_of(1, 3, 2), {1, 2}).reason.view(),
            "rank 2 is lost, and no shadow of it is left; 1 live ranks don't fill a pipeline of 3");
  EXPECT_EQ(after(job_of(1, 1, 2), {0}).reason.view(),
            "rank 0 is lost, and no shadow of it is left; 0 live ranks don't fill a pipeline of 1");
}

// The simulator's rule: less than 40 ranks never stay with a takeover where they fill a pipeline.
TEST(bamboo_policy, a_rendezvous_follows_the_next_iteration) {
  auto const job = job_of(3, 4, 6);
  bamboo_rule const rule{};
  auto const start = rule.start(job);
  std::vector<rank_id> const dead{6};
  auto const first = rule({job, start, dead});
  EXPECT_TRUE(first.plan.interim);
  EXPECT_EQ(workers_of(first.plan)[1], (std::vector<rank_id>{4, 5, 5, 7}));
  auto const second = rule({job, first.plan, dead});
  EXPECT_FALSE(second.plan.interim);
  EXPECT_EQ(workers_of(second.plan), (worker_ranks{{0, 1, 2, 3}, {8, 9, 10, 11}}));
  EXPECT_EQ(second.plan.job.total_microbatches(), 18);
  // One pipeline can't form another one, 14 of 4 ranks stay as they are after one loss.
  EXPECT_FALSE(
      rule({job_of(1, 4, 6), rule.start(job_of(1, 4, 6)), std::vector<rank_id>{2}}).plan.interim);
  auto const many = job_of(14, 4, 1);
  EXPECT_FALSE(rule({many, rule.start(many), dead}).plan.interim);
}

TEST(bamboo_policy, refuses_what_has_no_ring) {
  auto job = job_of(2, 2, 2);
  job.memory = stash_cap::one_f_one_b();
  EXPECT_EQ(field_of([&] { (void)bamboo_rule{}.start(job); }), "memory");
  job = job_of(2, 2, 2);
  job.layout = stage_layout::custom({0, 0, 1, 1});
  EXPECT_EQ(field_of([&] { (void)bamboo_rule{}.start(job); }), "layout");
}

// Takeovers are those of the solver, until the first loss that is fatal for both.
TEST(bamboo_policy, takeovers_are_those_of_shadow_failover) {
  random_cases d(19);
  int same = 0, fatal = 0;
  for (int round = 0; round < 300; ++round) {
    auto const pipelines = d.roll(1, 3), stages = d.roll(1, 6), microbatches = d.roll(1, 5);
    auto job = job_of(pipelines, stages, microbatches);
    std::vector<rank_id> losses;
    for (int n = d.roll(1, 4); n > 0; --n) {
      rank_id const r = d.roll(0, job.ranks() - 1);
      if (std::find(losses.begin(), losses.end(), r) != losses.end()) continue;
      losses.push_back(r);
      job.dead.push_back(job.worker_of(r));
      auto const expected = shadow_failover{}(job);
      auto const found = after(job, losses);
      if (!expected.has_plan()) {
        ++fatal;
        EXPECT_TRUE(!found.has_plan() || found.plan.job.layout == stage_layout::linear());
        break;
      }
      ++same;
      ASSERT_TRUE(found.has_plan()) << found.reason.view();
      auto const& plan = expected.plan;
      auto const schedule = bamboo_policy<>{}.schedule(found.plan.job);
      EXPECT_EQ(schedule.objective, expected.objective);
      for (rank_id const own : ids<rank_id>(plan.survivors.size())) {
        auto const& members = found.plan.members;
        auto const at = std::find(members.begin(), members.end(), plan.survivors[own.index()]);
        ASSERT_NE(at, members.end());
        rank_id const there = at - members.begin();
        EXPECT_EQ(found.plan.job.workers_of(there), plan.job.workers_of(own));
        EXPECT_EQ(schedule.plan.order[there], plan.schedule.order[own]);
      }
    }
  }
  EXPECT_GT(same, 200);
  EXPECT_GT(fatal, 100);
}

/// A run through losses, and what it came to.
struct trial {
  trial(pipeline_training const& t, bamboo_rendezvous::rules rules,
        std::vector<failure_point> failures)
      : work(dense_work_of(t)), run(work, {{.rendezvous = {rules}}}) {
    report = run(inline_executor{.failures = std::move(failures)});
    bits = {run.losses(), parameters_of(work, report.dead)};
  }
  dense_work work;
  pipeline_run<dense_work, bamboo_policy<>> run;
  recovery_report report{};
  trained_bits bits{};
};

// Two losses of every pair of ranks, in the same iteration, the next or the one after, at every
// third instruction. One pipeline goes on unless they are neighbours in the ring; two always find
// four live ranks with all states.
TEST(bamboo_policy, two_losses_of_any_ranks_leave_the_same_bits_or_are_fatal) {
  for (std::int32_t const pipelines : {1, 2}) {
    auto const t = dense_training(pipelines, 4, 2, 5);
    auto const expected = undisturbed(t);
    int stopped = 0;
    for (rank_id const a : ids<rank_id>(t.job.ranks()))
      for (rank_id const b : ids<rank_id>(t.job.ranks())) {
        if (a == b) continue;
        bool const neighbours =
            (a.value() + 1) % 4 == b.value() || (b.value() + 1) % 4 == a.value();
        for (std::int64_t const when : {1, 2, 3})
          for (std::int32_t at = 0; at < 24; at += pipelines == 1 ? 3 : 7) {
            SCOPED_TRACE(to_string(a) + ", " + to_string(b) + " in " + std::to_string(when) +
                         " at " + std::to_string(at));
            trial const all(t, bamboo_rendezvous::rules::simulator, {{a, 1, 7}, {b, when, at}});
            bool const both = all.report.dead.size() == 2;
            if (pipelines == 1 && neighbours && both) {
              ++stopped;
              EXPECT_NE(all.report.stopped.find(" live ranks don't fill a pipeline of 4"),
                        std::string::npos)
                  << all.report.stopped;
              ASSERT_LT(all.bits.losses.size(), 5U);
              EXPECT_TRUE(std::equal(all.bits.losses.begin(), all.bits.losses.end(),
                                     expected.losses.begin()));
            } else {
              EXPECT_EQ(all.report.stopped, "");
              EXPECT_EQ(all.bits, expected);
            }
          }
      }
    EXPECT_EQ(stopped > 100, pipelines == 1) << stopped;
  }
}

TEST(bamboo_policy, a_loss_costs_no_copy_until_pipelines_are_formed_anew) {
  auto const t = dense_training(3, 4, 6, 5);
  trial const all(t, bamboo_rendezvous::rules::simulator, {{6, 2, 20}});
  EXPECT_EQ(all.bits, undisturbed(t));
  auto const& changes = all.run.changes();
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].iteration, 2);
  EXPECT_EQ(changes[0].copies, 0);
  EXPECT_EQ(changes[0].redone, 1);
  EXPECT_TRUE(changes[0].waiting.empty());
  EXPECT_EQ(changes[1].iteration, 3);
  EXPECT_EQ(changes[1].redone, 0);
  EXPECT_EQ(changes[1].waiting, (std::vector<rank_id>{4, 5, 7}));
  trial const stays(t, bamboo_rendezvous::rules::coordinator, {{6, 2, 20}});
  EXPECT_EQ(stays.bits, undisturbed(t));
  EXPECT_EQ(stays.run.changes().size(), 1U);
}

// All owners of a stage at once: their shadows have the state.
TEST(bamboo_policy, the_owners_of_a_stage_may_all_be_lost) {
  for (std::int32_t const pipelines : {1, 2, 3}) {
    auto const t = dense_training(pipelines, 3, 2, 5);
    for (std::int32_t s = 0; s < 3; ++s) {
      std::vector<failure_point> failures;
      for (std::int32_t p = 0; p < pipelines; ++p) failures.push_back({3 * p + s, 1, 9});
      trial const all(t, bamboo_rendezvous::rules::simulator, failures);
      EXPECT_EQ(all.report.stopped, "");
      EXPECT_EQ(all.bits, undisturbed(t));
    }
  }
}

TEST(bamboo_policy, a_stage_without_owner_and_shadow_ends_the_run) {
  auto const t = dense_training(3, 3, 2);
  std::vector<failure_point> failures;
  for (rank_id const r : {0, 1, 3, 4, 6, 7}) failures.push_back({r, 1, 5});
  EXPECT_EQ(
      trial(t, bamboo_rendezvous::rules::simulator, failures).report.stopped,
      "no plan for iteration 1 without ranks 0 1 3 4 6 7: no live rank has the state of stage "
      "1");
}

/// A work that keeps what forwards, and those that are repeated, have left: output and stash.
struct listening_work {
  dense_work& of;
  using bytes = std::vector<std::byte>;
  std::map<operation, bytes> owners{}, shadows{};

  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) { return of.buffer(r, b); }
  void operator()(rank_id r, task const& t) {
    of(r, t);
    bool const repeated = t.op.kind == op_kind::redundant_forward;
    if (!repeated && t.op.kind != op_kind::forward) return;
    bytes all;
    for (region const& to : t.writes) {
      auto const part =
          of.buffer(r, to.buffer)
              .subspan(static_cast<std::size_t>(to.offset), static_cast<std::size_t>(to.size));
      all.insert(all.end(), part.begin(), part.end());
    }
    operation key = t.op;
    key.kind = op_kind::forward;
    EXPECT_TRUE((repeated ? shadows : owners).emplace(key, std::move(all)).second);
  }
};

TEST(bamboo_policy, shadows_compute_the_bits_of_the_owners) {
  auto const t = dense_training(2, 4, 5, 3);
  auto work = dense_work_of(t);
  bamboo_policy<> const policy{};
  auto const start = policy.start(t.job);
  work.begin(stages_held(start, t.job.ranks()), t.job.microbatches);
  auto const plain = policy.schedule(start.job);
  auto const repeated = policy.repeated(start, plain.plan);
  ASSERT_TRUE(repeated.has_value());
  auto const plan = planned(start.job, *repeated, work.tensors(), start.shadows);
  EXPECT_EQ(static_cast<double>(plan.period), plain.objective + 3) << "bubbles hide two of five";
  work.fit(*plan.iteration);
  for (std::int64_t i = 0; i < t.iterations; ++i) {
    listening_work listening{work};
    auto session = inline_executor{}.open(listening, i);
    session.submit(plan.iteration);
    (void)session.wait();
    EXPECT_EQ(listening.shadows.size(), 2u * 3 * 5) << "all stages but the first";
    for (auto const& [forward, bits] : listening.shadows)
      EXPECT_EQ(listening.owners[forward], bits) << describe(forward).view();
  }
}

TEST(bamboo_policy, forwards_are_repeated_in_whole_rings_alone) {
  auto const job = job_of(2, 4, 5);
  bamboo_policy<> policy{};
  auto const start = policy.start(job);
  EXPECT_TRUE(policy.repeated(start, policy.schedule(start.job).plan).has_value());
  auto const taken = after(job, {6});
  EXPECT_FALSE(policy.repeated(taken.plan, policy.schedule(taken.plan.job).plan).has_value());
  auto const anew = after(job, {6, 5});
  EXPECT_TRUE(policy.repeated(anew.plan, policy.schedule(anew.plan.job).plan).has_value());
  policy.repeats_forwards = false;
  EXPECT_FALSE(policy.repeated(start, policy.schedule(start.job).plan).has_value());
  // The bits are the same, and so is what follows a loss.
  auto const t = dense_training(2, 3, 4, 5);
  auto work = dense_work_of(t);
  pipeline_run<dense_work, bamboo_policy<>> run(work, policy);
  auto const report = run(inline_executor{.failures = {{4, 2, 9}}});
  EXPECT_EQ((trained_bits{run.losses(), parameters_of(work, report.dead)}), undisturbed(t));
}

TEST(bamboo_policy, a_work_that_has_stepped_can_not_begin) {
  auto const t = dense_training(2, 2, 2);
  auto work = dense_work_of(t);
  (void)train_without_failures(work, inline_executor{});
  EXPECT_EQ(thrown_by([&] { pipeline_run<dense_work, bamboo_policy<>> run(work); }),
            "rank 0 has stepped already");
}

}  // namespace
}  // namespace shunt::tests::bamboo_policy_test
