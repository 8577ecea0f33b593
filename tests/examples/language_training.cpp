#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "language_training.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/small_training.hpp"

namespace example::tests::language_training_test {
namespace {

using namespace small_training;
using shunt::rank_id;

template <class Executor, class Solver>
trained train(Executor const& executor, Solver const& solver, language_training const& c,
              shunt::pipeline_job const& job) {
  language_work work(c, some_text());
  auto const plan = shunt::plan_iteration(solver, job, work.tensors(), form_of(c));
  work.fit(*plan.iteration);
  auto session = executor.open(work);
  for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
  if (plan.closing) session.submit(plan.closing);
  EXPECT_TRUE(session.wait().lost.empty());
  return result_of(c, work, job);
}

TEST(language_training, every_schedule_and_executor_gives_the_same_bits) {
  auto const c = small(3, 3, 4, 4);
  auto const reference = train(shunt::inline_executor{}, shunt::gpipe{}, c, c.job);
  EXPECT_LT(reference.losses[3], reference.losses[0]);
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::gpipe{}, c, c.job), reference);
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::one_f_one_b{}, c, c.job), reference);
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::zb_h1{}, c, c.job), reference);
  for (auto const& dead : std::vector<std::vector<shunt::worker>>{
           {}, {{1, 2}}, {{0, 0}}, {{0, 1}, {1, 2}}, {{0, 1}, {2, 1}}}) {
    auto job = c.job;
    job.dead = dead;
    for (bool const split : {false, true})
      for (bool const stagger : {false, true})
        EXPECT_EQ(train(shunt::thread_executor{},
                        shunt::slipstream{.split = split, .stagger = stagger}, c, job),
                  reference)
            << dead.size();
  }
}

TEST(language_training, losses_do_not_depend_on_the_number_of_pipelines) {
  auto const one = small(1, 2, 12), three = small(3, 2, 4), six = small(6, 2, 2);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, one, one.job);
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::one_f_one_b{}, three, three.job), reference);
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::slipstream{}, six, six.job), reference);
}

TEST(language_training, a_single_stage_trains) {
  auto const c = small(2, 1, 3, 30);
  auto const all = train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job);
  EXPECT_LT(all.losses.back(), 0.8 * all.losses.front());
}

TEST(language_training, a_gradient_beyond_the_fixed_point_leaves_the_step_out) {
  auto c = small(2, 2, 2);
  c.optimizer.rate = 1e30F;  // the first step throws the parameters out
  language_work work(c, some_text());
  auto const plan = shunt::plan_iteration(shunt::one_f_one_b{}, c.job, work.tensors());
  work.fit(*plan.iteration);
  auto session = shunt::thread_executor{}.open(work);
  for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
  static_cast<void>(session.wait());
  ASSERT_TRUE(work.first_overflow());
  EXPECT_EQ(work.first_overflow()->iteration, 1);
  EXPECT_TRUE(std::isfinite(work.loss(0)));
}

/// What a sweep of kills saw.
struct sweep {
  std::int64_t runs = 0, steps_undone = 0;
  std::vector<std::int32_t> failed_at_kind =
      std::vector<std::int32_t>(32, 0);  ///< by the opcode that the worker didn't come to
  std::int64_t failed_at_step = 0;
  std::int64_t kept = 0;  ///< backward passes
};

/// Kills `rank` at every instruction of iteration 1 in turn and compares each run with an
/// undisturbed one.
template <class MakeExecutor>
void fail_everywhere(language_training const& c, shunt::slipstream const& solver, rank_id rank,
                     trained const& reference, MakeExecutor const& make, sweep& seen,
                     bool salvage = false) {
  std::vector<shunt::instruction> list;
  {
    run_of<language_work> run(c, solver, some_text());
    if (salvage) run.salvage();
    list = run.plan_without({}).iteration->ranks[rank].instructions;
  }
  auto job = c.job;
  job.dead = {job.worker_of(rank)};
  for (std::int32_t at = 0; at <= static_cast<std::int32_t>(list.size()); ++at) {
    SCOPED_TRACE("rank " + std::to_string(rank.value()) + " at instruction " + std::to_string(at));
    run_of<language_work> run(c, solver, some_text());
    if (salvage) run.salvage();
    auto const report = run(make(shunt::failure_point{rank, 1, at}));
    ASSERT_EQ(report.losses.size(), 1U);
    ASSERT_EQ(report.losses[0].ranks, std::vector<rank_id>{rank});
    ASSERT_EQ(report.end, c.iterations) << report.stopped;
    ASSERT_EQ(result_of(c, run.work(), job), reference);
    ASSERT_EQ(run.iterations().size(), static_cast<std::size_t>(c.iterations));
    std::int64_t restored = 0;
    for (rank_id r : shunt::ids<rank_id>(c.job.ranks())) restored += run.work().restored(r);
    EXPECT_EQ(restored, report.losses[0].steps_undone);
    ++seen.runs;
    seen.steps_undone += restored;
    seen.kept += report.losses[0].kept;
    if (at < static_cast<std::int32_t>(list.size())) {
      auto const& i = list[static_cast<std::size_t>(at)];
      ++seen.failed_at_kind[static_cast<std::size_t>(i.code)];
      seen.failed_at_step += i.code == shunt::opcode::compute && i.op.kind == shunt::op_kind::step;
    }
  }
}

auto const on_threads = [](shunt::failure_point const& f) {
  return shunt::thread_executor{.failures = {f}, .timeout = std::chrono::milliseconds(5)};
};
auto const on_one_thread = [](shunt::failure_point const& f) {
  return shunt::inline_executor{.failures = {f}};
};

TEST(language_training, a_kill_at_every_instruction_of_every_worker) {
  auto const c = small(2, 2, 2);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  for (bool const stagger : {true, false}) {
    sweep seen;
    for (rank_id r : shunt::ids<rank_id>(c.job.ranks()))
      fail_everywhere(c, {.split = stagger, .stagger = stagger}, r, reference, on_threads, seen);
    EXPECT_GT(seen.runs, 60);
    EXPECT_GE(seen.failed_at_step, 4);
    for (auto const code : {shunt::opcode::fill, shunt::opcode::send, shunt::opcode::receive,
                            shunt::opcode::all_reduce, shunt::opcode::copy})
      EXPECT_GE(seen.failed_at_kind[static_cast<std::size_t>(code)], 4) << to_string(code);
    if (stagger) {
      EXPECT_GT(seen.steps_undone, 0);
    }
  }
}

TEST(language_training, a_kill_at_every_instruction_of_a_worker_of_every_stage) {
  auto const c = small(3, 3, 3);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  sweep threads, one_thread;
  for (shunt::stage_id s : shunt::ids<shunt::stage_id>(3)) {
    fail_everywhere(c, {}, c.job.rank_of({1, s}), reference, on_threads, threads);
    fail_everywhere(c, {}, c.job.rank_of({1, s}), reference, on_one_thread, one_thread);
  }
  EXPECT_GT(threads.steps_undone, 0);
  EXPECT_EQ(one_thread.runs, threads.runs);
}

TEST(language_training, what_survives_a_kill_at_any_instruction_is_kept) {
  auto const c = small(3, 3, 3);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  for (bool const together : {false, true}) {
    sweep threads, one_thread;
    for (shunt::stage_id s : shunt::ids<shunt::stage_id>(3)) {
      shunt::slipstream const solver{.split = !together, .stagger = !together};
      fail_everywhere(c, solver, c.job.rank_of({1, s}), reference, on_threads, threads, true);
      fail_everywhere(c, solver, c.job.rank_of({1, s}), reference, on_one_thread, one_thread, true);
    }
    EXPECT_GT(threads.kept, threads.runs);
    EXPECT_GT(one_thread.kept, 5 * one_thread.runs);
  }
  auto validated = c;
  validated.clip = 1;
  run_of<language_work> run(validated, {}, some_text());
  EXPECT_THROW(run.salvage(), shunt::invalid_problem);
}

/// One rank whose steps take long, as streams and machines of uneven speed have them.
struct slow_step {
  rank_id slow{};
  [[nodiscard]] shunt::ticks compute(rank_id r, shunt::operation const& o) const {
    return o.kind == shunt::op_kind::step ? (r == slow ? 1000 : 3) : 1;
  }
  [[nodiscard]] shunt::transfer_time transfer(rank_id, rank_id, shunt::byte_count) const {
    return {};
  }
};

TEST(language_training, a_kill_while_a_peer_is_slow_on_an_executor_with_lanes) {
  auto const c = small(2, 2, 2, 4);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  sweep seen;
  for (rank_id const slow : shunt::ids<rank_id>(c.job.ranks()))
    for (rank_id const killed : shunt::ids<rank_id>(c.job.ranks()))
      fail_everywhere(
          c, {}, killed, reference,
          [&](shunt::failure_point const& f) {
            return shunt::simulated_executor<slow_step>{
                .cost = {slow}, .failures = {f}, .timeout = 10};
          },
          seen);
  EXPECT_GT(seen.steps_undone, 0);
}

TEST(language_training, an_overflow_leaves_out_the_same_steps_under_every_plan) {
  std::int32_t some_stages = 0;
  for (std::uint64_t const seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    auto c = small(2, 2, 2, 60);
    c.optimizer.rate = seed % 2 == 0 ? 0.2F : 0.4F;
    c.seed = seed;
    auto const bits = [](trained const& t) {  // a NaN is as good as another
      std::vector<std::uint64_t> all;
      for (double const loss : t.losses) all.push_back(std::bit_cast<std::uint64_t>(loss));
      return all;
    };
    auto const reference = bits(train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job));
    EXPECT_EQ(bits(train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job)), reference)
        << seed;
    EXPECT_EQ(bits(train(shunt::thread_executor{}, shunt::slipstream{.stagger = false}, c, c.job)),
              reference)
        << seed;

    language_work work(c, some_text());
    auto const plan = shunt::plan_iteration(shunt::one_f_one_b{}, c.job, work.tensors());
    work.fit(*plan.iteration);
    auto session = shunt::inline_executor{}.open(work);
    for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
    static_cast<void>(session.wait());
    some_stages +=
        work.overflow_of(c.job.rank_of({0, 0})) != work.overflow_of(c.job.rank_of({0, 1}));
  }
  EXPECT_GT(some_stages, 0) << "no run in which some stages overflow and others don't";
}

TEST(language_training, stages_that_had_stepped_step_back) {
  // A worker of stage 0 dies before the reduction of its gradient: on one thread all others get as
  // far as they can, and every worker of the stages behind has stepped.
  auto const c = small(3, 3, 3);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  run_of<language_work> run(c, {}, some_text());
  rank_id const killed = c.job.rank_of({0, 0});
  auto const& list = run.plan_without({}).iteration->ranks[killed].instructions;
  auto const reduction = std::find_if(
      list.begin(), list.end(), [](auto const& i) { return i.code == shunt::opcode::all_reduce; });
  auto const report =
      run(on_one_thread({killed, 1, static_cast<std::int32_t>(reduction - list.begin())}));
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(report.losses[0].iteration, 1);
  EXPECT_EQ(report.losses[0].steps_undone, 6);
  for (std::int32_t p = 0; p < 3; ++p)
    for (std::int32_t s = 1; s < 3; ++s) EXPECT_EQ(run.work().restored(c.job.rank_of({p, s})), 1);
  auto job = c.job;
  job.dead = {{0, 0}};
  EXPECT_EQ(result_of(c, run.work(), job), reference);
}

TEST(language_training, workers_that_come_back_hold_their_peers_state) {
  auto const c = small(3, 2, 2, 9);
  auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
  auto const rank = [&](shunt::worker w) { return c.job.rank_of(w); };
  run_of<language_work> run(c, {}, some_text());
  shunt::thread_executor const executor{.failures = {{rank({1, 1}), 1, 9},
                                                     {rank({0, 0}), 2, 12},
                                                     {rank({2, 0}), 2, 4},
                                                     {rank({1, 1}), 6, 5}},
                                        .timeout = std::chrono::milliseconds(5)};
  auto const report =
      run(executor, {{rank({1, 1}), 4}, {rank({0, 0}), 5}, {rank({2, 0}), 5}, {rank({1, 1}), 8}});
  EXPECT_EQ(report.end, 9) << report.stopped;
  EXPECT_EQ(report.joined.size(), 4U);
  EXPECT_TRUE(report.dead.empty());
  EXPECT_EQ(result_of(c, run.work(), c.job), reference);
}

TEST(language_training, the_last_worker_of_a_stage_ends_the_run) {
  auto const c = small(2, 2, 2, 5);
  run_of<language_work> run(c, {}, some_text());
  auto const report = run(shunt::inline_executor{.failures = {{0, 1, 3}, {2, 3, 3}}});
  EXPECT_EQ(report.end, 3);
  EXPECT_FALSE(report.stopped.empty());
  EXPECT_EQ(run.iterations().size(), 3U);
}

TEST(validated_training, staggered_and_waiting_steps_give_the_same_bits) {
  std::mt19937_64 engine(5);
  step_counts staggered;
  for (int n = 0; n < 12; ++n) {
    SCOPED_TRACE(n);
    auto const c = unsteady(engine, 5);
    auto whole = c.job;
    whole.dead.clear();
    auto const reference = train(shunt::inline_executor{}, shunt::gpipe{}, c, whole);
    EXPECT_EQ(train(shunt::thread_executor{}, shunt::one_f_one_b{}, c, whole), reference);
    EXPECT_EQ(train(shunt::thread_executor{}, shunt::slipstream{.stagger = false}, c, c.job),
              reference);
    EXPECT_EQ(train(shunt::inline_executor{}, shunt::slipstream{}, c, c.job), reference);
    EXPECT_EQ(train(shunt::simulated_executor{.cost = shunt::job_costs(c.job)}, shunt::slipstream{},
                    c, c.job),
              reference);
    EXPECT_EQ(train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job), reference);

    language_work work(c, some_text());
    auto const plan = shunt::plan_iteration(shunt::slipstream{}, c.job, work.tensors(), form_of(c));
    work.fit(*plan.iteration);
    auto session = shunt::thread_executor{}.open(work);
    for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
    session.submit(plan.closing);
    (void)session.wait();
    count_steps(work, c, staggered);
    EXPECT_EQ(result_of(c, work, c.job), reference);
  }
  EXPECT_GT(staggered.left_out, 10);
  EXPECT_GT(staggered.clipped, 20);
  EXPECT_GT(staggered.taken_back, 20);
}

TEST(validated_training, a_limit_that_nothing_exceeds_changes_nothing) {
  auto c = small(2, 3, 3, 4);
  auto const reference = train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job);
  c.clip = 1e9;
  EXPECT_EQ(train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job), reference);
  c.clip = 1;
  EXPECT_NE(train(shunt::thread_executor{}, shunt::slipstream{}, c, c.job), reference);
}

TEST(validated_training, through_losses_and_joins) {
  std::mt19937_64 engine(9);
  auto const below = [&](std::uint64_t n) { return static_cast<std::int32_t>(engine() % n); };
  step_counts seen;
  std::size_t lost = 0, joined = 0;
  for (int n = 0; n < 60; ++n) {
    SCOPED_TRACE(n);
    auto c = unsteady(engine, 6);
    c.job.dead.clear();
    if (c.job.pipelines == 1) continue;
    auto const reference = train(shunt::inline_executor{}, shunt::one_f_one_b{}, c, c.job);
    std::vector<shunt::failure_point> failures;
    std::vector<shunt::join> joins;
    for (shunt::stage_id s : shunt::ids<shunt::stage_id>(c.job.stages)) {
      rank_id const r = c.job.rank_of({below(static_cast<std::uint64_t>(c.job.pipelines)), s});
      auto const when = below(5);
      if (below(3) > 0) failures.push_back({r, when, below(40)});
      if (below(2) > 0) joins.push_back({r, when + 1});
    }
    run_of<language_work> run(c, {.stagger = n % 4 != 3}, some_text());
    auto const report = n % 2 == 0
                            ? run(shunt::thread_executor{.failures = failures,
                                                         .timeout = std::chrono::milliseconds(5)},
                                  joins)
                            : run(shunt::inline_executor{.failures = failures}, joins);
    ASSERT_EQ(report.stopped, "");
    auto job = c.job;
    for (auto const r : report.dead) job.dead.push_back(job.worker_of(r));
    EXPECT_EQ(result_of(c, run.work(), job), reference);
    count_steps(run.work(), c, seen);
    lost += report.losses.size();
    joined += report.joined.size();
  }
  EXPECT_GT(seen.taken_back, 40);
  EXPECT_GT(lost, 20U);
  EXPECT_GT(joined, 5U);
}

TEST(validated_training, rolling_back_by_the_inverse_comes_close) {
  auto c = small(2, 3, 3, 6);
  c.clip = 3;
  c.inject = {{2, 1, 0}, {2, 3, 1}, {1, 4, 0}};
  auto const exact = train(shunt::inline_executor{}, shunt::slipstream{}, c, c.job);
  c.rollback = shunt::rollback::inverse;
  language_work work(c, some_text());
  auto const both =
      shunt::validated(shunt::lower(c.job, shunt::slipstream{}(c.job).plan, work.tensors()),
                       shunt::validation::in_next_iteration, c.rollback);
  work.fit(both.iteration);
  auto session = shunt::thread_executor{}.open(work);
  for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(both.iteration);
  session.submit(both.closing);
  (void)session.wait();
  auto const close = result_of(c, work, c.job);
  step_counts counts;
  count_steps(work, c, counts);
  EXPECT_GT(counts.taken_back, 4);
  double worst = 0;
  for (std::size_t s = 0; s < exact.parameters.size(); ++s)
    for (std::size_t i = 0; i < exact.parameters[s].size(); ++i)
      worst = std::max(
          worst, static_cast<double>(std::abs(exact.parameters[s][i] - close.parameters[s][i])));
  EXPECT_LT(worst, 0.2 * static_cast<double>(c.optimizer.rate));  // of a step
  RecordProperty("worst_parameter_over_rate_e9",
                 std::to_string(worst / static_cast<double>(c.optimizer.rate) * 1e9));
}

TEST(validated_training, bad_input_is_refused) {
  auto const refused = [](auto&& change, std::string const& why) {
    auto c = small(2, 2, 2);
    change(c);
    try {
      language_work const work(c, some_text());
      ADD_FAILURE() << why;
    } catch (shunt::invalid_problem const& error) {
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
  };
  refused([](auto& c) { c.clip = 0; }, "clip: must be a number above 0");
  refused([](auto& c) { c.clip = std::numeric_limits<double>::quiet_NaN(); },
          "clip: must be a number above 0");
  refused([](auto& c) { c.inject = {{2, 0, 0}}; }, "inject-nan[0]: stage 2 is not one of 0..1");
  refused([](auto& c) { c.inject = {{0, 0, 0}, {0, 3, 0}}; },
          "inject-nan[1]: iteration 3 is not one of 0..2");
  refused([](auto& c) { c.inject = {{0, 0, 4}}; },
          "inject-nan[0]: micro-batch 4 is not one of 0..3");
}

}  // namespace
}  // namespace example::tests::language_training_test
