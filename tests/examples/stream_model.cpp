// The model trained on streams and as graphs without a device: the work that a GPU runs, on streams
// of the host.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "language_training.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "stream_model.hpp"
#include "support/device_on_host.hpp"
#include "support/small_training.hpp"

namespace example::tests::stream_model_test {
namespace {

using namespace small_training;
using shunt::rank_id;
using shunt::tests::device_on_host;
using shunt::tests::host_streams;
using work_on_host = stream_language_work<device_on_host>;
using run_on_host = run_of<work_on_host>;
using streams = shunt::stream_executor<host_streams>;
using graphs = shunt::graph_executor<host_streams>;

static_assert(shunt::stream_work<work_on_host, host_streams::stream_ref> &&
              shunt::restorable<work_on_host>);
static_assert(shunt::executor_of<streams, work_on_host> &&
              shunt::executor_of<graphs, work_on_host>);

/// Streams that run at once, only when the host waits, or by lot: another one every time.
device_on_host next_device() {
  static std::uint64_t made = 0;
  ++made;
  return device_on_host(made, made % 3 == 0   ? host_streams::temper::eager
                              : made % 3 == 1 ? host_streams::temper::lazy
                                              : host_streams::temper::random);
}

template <class Executor, class Solver>
trained train(Solver const& solver, language_training const& c, shunt::pipeline_job const& job,
              step_counts* counts = nullptr) {
  auto device = next_device();
  work_on_host work(c, some_text(), device);
  auto const plan = shunt::plan_iteration(solver, job, work.tensors(), form_of(c));
  work.fit(*plan.iteration);
  auto session = Executor{.system = &device.streams()}.open(work);
  for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
  if (plan.closing) session.submit(plan.closing);
  EXPECT_TRUE(session.wait().lost.empty());
  if (counts) count_steps(work, c, *counts);
  return result_of(c, work, job);
}

double largest_difference(std::vector<double> const& found, std::vector<double> const& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    largest = std::max(largest, std::abs(found[i] - expected[i]) / expected[i]);
  return largest;
}

TEST(stream_model, losses_are_the_hosts_but_for_rounding) {
  for (auto const& [pipelines, stages] : {std::pair{2, 1}, {1, 2}, {2, 3}}) {
    auto const c = small(pipelines, stages, 4, 40);
    auto const host = train_undisturbed(c, some_text());
    auto const found = train<streams>(shunt::one_f_one_b{}, c, c.job);
    EXPECT_LT(host.losses.back(), 0.8 * host.losses.front());
    EXPECT_LT(largest_difference(found.losses, host.losses), work_on_host::tolerance)
        << pipelines << " x " << stages;
    EXPECT_NE(found.losses, host.losses) << "products in another order round differently";
  }
}

TEST(stream_model, every_schedule_order_and_executor_gives_the_same_bits) {
  auto const c = small(3, 3, 4, 4);
  auto const reference = train<streams>(shunt::gpipe{}, c, c.job);
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(train<streams>(shunt::one_f_one_b{}, c, c.job), reference);
    EXPECT_EQ(train<graphs>(shunt::one_f_one_b{}, c, c.job), reference);
  }
  for (auto const& dead :
       std::vector<std::vector<shunt::worker>>{{}, {{1, 2}}, {{0, 0}}, {{0, 1}, {1, 2}}}) {
    auto job = c.job;
    job.dead = dead;
    for (bool const stagger : {false, true}) {
      EXPECT_EQ(train<streams>(shunt::slipstream{.split = stagger, .stagger = stagger}, c, job),
                reference)
          << dead.size();
      EXPECT_EQ(train<graphs>(shunt::slipstream{.stagger = stagger}, c, job), reference)
          << dead.size();
    }
  }
}

/// Kills `rank` at every instruction of iteration 1 in turn; returns the steps that survivors took
/// back.
template <class Executor>
std::int64_t fail_everywhere(language_training const& c, shunt::slipstream const& solver,
                             rank_id rank, trained const& reference) {
  auto job = c.job;
  job.dead = {job.worker_of(rank)};
  std::int64_t undone = 0;
  for (std::int32_t at = 0, length = 0; at <= length; ++at) {
    SCOPED_TRACE("rank " + std::to_string(rank.value()) + " at instruction " + std::to_string(at));
    auto device = next_device();
    run_on_host run(c, solver, some_text(), device);
    length =
        static_cast<std::int32_t>(run.plan_without({}).iteration->ranks[rank].instructions.size());
    auto const report = run(Executor{.system = &device.streams(), .failures = {{rank, 1, at}}});
    EXPECT_EQ(report.losses.size(), 1U);
    EXPECT_EQ(report.end, c.iterations) << report.stopped;
    EXPECT_EQ(run.iterations().size(), static_cast<std::size_t>(c.iterations));
    EXPECT_EQ(result_of(c, run.work(), job), reference);
    std::int64_t restored = 0;
    for (rank_id r : shunt::ids<rank_id>(c.job.ranks())) restored += run.work().restored(r);
    EXPECT_EQ(restored, report.losses.at(0).steps_undone);
    undone += restored;
  }
  return undone;
}

TEST(stream_model, a_kill_at_every_instruction) {
  auto const c = small(2, 2, 2);
  auto const reference = train<streams>(shunt::one_f_one_b{}, c, c.job);
  std::int64_t on_streams = 0, as_graphs = 0;
  for (rank_id r : shunt::ids<rank_id>(c.job.ranks())) {
    on_streams += fail_everywhere<streams>(c, {}, r, reference);
    as_graphs += fail_everywhere<graphs>(c, {}, r, reference);
  }
  EXPECT_GT(on_streams, 0);
  EXPECT_EQ(as_graphs, on_streams);
  EXPECT_EQ(fail_everywhere<streams>(c, {.stagger = false}, 3, reference), 0);
}

TEST(stream_model, workers_that_come_back_hold_their_peers_state) {
  auto const c = small(3, 2, 2, 9);
  auto const reference = train<streams>(shunt::one_f_one_b{}, c, c.job);
  auto const rank = [&](shunt::worker w) { return c.job.rank_of(w); };
  auto const disturbed = [&]<class Executor>(Executor) {
    auto device = next_device();
    run_on_host run(c, {}, some_text(), device);
    auto const report =
        run(Executor{.system = &device.streams(),
                     .failures = {{rank({1, 1}), 1, 9},
                                  {rank({0, 0}), 2, 12},
                                  {rank({2, 0}), 2, 4},
                                  {rank({1, 1}), 6, 5}}},
            {{rank({1, 1}), 4}, {rank({0, 0}), 5}, {rank({2, 0}), 5}, {rank({1, 1}), 8}});
    EXPECT_EQ(report.end, 9) << report.stopped;
    EXPECT_EQ(report.joined.size(), 4U);
    EXPECT_TRUE(report.dead.empty());
    EXPECT_EQ(result_of(c, run.work(), c.job), reference);
  };
  disturbed(streams{});
  disturbed(graphs{});
}

TEST(stream_model, validated_steps_are_those_of_the_host) {
  std::mt19937_64 engine(5);
  step_counts seen;
  for (int n = 0; n < 8; ++n) {
    SCOPED_TRACE(n);
    auto const c = unsteady(engine, 5);
    auto whole = c.job;
    whole.dead.clear();
    auto const reference = train<streams>(shunt::gpipe{}, c, whole);
    EXPECT_EQ(train<graphs>(shunt::one_f_one_b{}, c, whole), reference);
    EXPECT_EQ(train<streams>(shunt::slipstream{.stagger = false}, c, c.job), reference);
    step_counts on_streams, as_graphs, on_host;
    EXPECT_EQ(train<streams>(shunt::slipstream{}, c, c.job, &on_streams), reference);
    EXPECT_EQ(train<graphs>(shunt::slipstream{}, c, c.job, &as_graphs), reference);
    EXPECT_EQ(as_graphs, on_streams);

    language_work host(c, some_text());
    auto const plan = shunt::plan_iteration(shunt::slipstream{}, c.job, host.tensors(), form_of(c));
    host.fit(*plan.iteration);
    auto session = shunt::inline_executor{}.open(host);
    for (std::int64_t i = 0; i < c.iterations; ++i) session.submit(plan.iteration);
    session.submit(plan.closing);
    (void)session.wait();
    count_steps(host, c, on_host);
    EXPECT_EQ(on_streams, on_host);
    EXPECT_LT(largest_difference(reference.losses, result_of(c, host, c.job).losses),
              work_on_host::tolerance);
    count_steps(host, c, seen);
  }
  EXPECT_GT(seen.left_out, 5);
  EXPECT_GT(seen.clipped, 10);
  EXPECT_GT(seen.taken_back, 10);
}

TEST(stream_model, validated_steps_through_losses_and_joins) {
  std::mt19937_64 engine(9);
  auto const below = [&](std::uint64_t n) { return static_cast<std::int32_t>(engine() % n); };
  step_counts seen;
  std::size_t lost = 0, joined = 0;
  for (int n = 0; n < 24; ++n) {
    SCOPED_TRACE(n);
    auto c = unsteady(engine, 6);
    c.job.dead.clear();
    if (c.job.pipelines == 1) continue;
    auto const reference = train<streams>(shunt::one_f_one_b{}, c, c.job);
    std::vector<shunt::failure_point> failures;
    std::vector<shunt::join> joins;
    for (shunt::stage_id s : shunt::ids<shunt::stage_id>(c.job.stages)) {
      rank_id const r = c.job.rank_of({below(static_cast<std::uint64_t>(c.job.pipelines)), s});
      auto const when = below(5);
      if (below(3) > 0) failures.push_back({r, when, below(40)});
      if (below(2) > 0) joins.push_back({r, when + 1});
    }
    auto device = next_device();
    run_on_host run(c, {.stagger = n % 4 != 3}, some_text(), device);
    auto const report = n % 2 == 0
                            ? run(streams{.system = &device.streams(), .failures = failures}, joins)
                            : run(graphs{.system = &device.streams(), .failures = failures}, joins);
    ASSERT_EQ(report.stopped, "");
    auto job = c.job;
    for (auto const r : report.dead) job.dead.push_back(job.worker_of(r));
    EXPECT_EQ(result_of(c, run.work(), job), reference);
    count_steps(run.work(), c, seen);
    lost += report.losses.size();
    joined += report.joined.size();
  }
  EXPECT_GT(seen.taken_back, 15);
  EXPECT_GT(lost, 8U);
  EXPECT_GT(joined, 2U);
}

TEST(stream_model, an_operation_whose_condition_does_not_hold_leaves_no_trace) {
  for (bool const validated : {false, true}) {
    auto c = small(2, 2, 2);
    c.validate = validated;
    auto device = next_device();
    work_on_host work(c, some_text(), device);
    auto const plan = shunt::plan_iteration(shunt::slipstream{}, c.job, work.tensors(), form_of(c));
    work.fit(*plan.iteration);
    std::mt19937_64 random(3);
    auto const each_buffer = [&](auto const& visit) {
      for (rank_id r : shunt::ids<rank_id>(c.job.ranks()))
        for (shunt::buffer_id b :
             shunt::ids<shunt::buffer_id>(plan.iteration->ranks[r].buffers.size()))
          visit(work.buffer(r, b));
    };
    each_buffer([&](std::span<std::byte> bytes) {
      for (auto& b : bytes)
        b = static_cast<std::byte>(random() % 64);  // as floats between 0 and 16
    });
    auto const contents = [&] {
      device.settle();
      std::vector<std::byte> all;
      each_buffer(
          [&](std::span<std::byte> bytes) { all.insert(all.end(), bytes.begin(), bytes.end()); });
      for (rank_id r : shunt::ids<rank_id>(c.job.ranks()))
        if (validated) all.push_back(static_cast<std::byte>(work.step_of(r, 0).left_out));
      return all;
    };
    auto const before = contents();
    std::int64_t const iteration = 1, no = 0, yes = 1;
    auto const stream = device.streams().make_stream();
    std::set<shunt::op_kind> kinds, left_traces;
    for (auto const* const condition : {&no, &yes}) {
      for (rank_id r : shunt::ids<rank_id>(c.job.ranks()))
        for (auto const& i : plan.iteration->ranks[r].instructions) {
          if (i.code != shunt::opcode::compute) continue;
          auto const& own = plan.iteration->ranks[r];
          auto const before_it = contents();
          work(r, {i.op, &iteration, condition, own.reads(i), own.writes(i)}, stream);
          kinds.insert(i.op.kind);
          if (contents() != before_it) left_traces.insert(i.op.kind);
        }
      if (condition == &yes) continue;
      EXPECT_EQ(contents(), before);
      EXPECT_TRUE(std::isnan(work.loss(iteration)));
      for (rank_id r : shunt::ids<rank_id>(c.job.ranks())) {
        work.restore(r, iteration);
        EXPECT_EQ(work.restored(r), 0) << "a step was noted";
      }
      EXPECT_TRUE(left_traces.empty());
    }
    EXPECT_EQ(kinds.size(), validated ? 7U : 4U);
    if (!validated) kinds.erase(shunt::op_kind::step);  // whose flag is up
    EXPECT_EQ(left_traces, kinds);
  }
}

TEST(stream_model, a_gradient_beyond_the_fixed_point_leaves_the_step_out) {
  auto c = small(2, 2, 2);
  c.optimizer.rate = 1e30F;  // the first step throws the parameters out
  auto device = next_device();
  work_on_host work(c, some_text(), device);
  EXPECT_FALSE(work.first_overflow());
  auto const all = train_undisturbed(work, streams{.system = &device.streams()});
  ASSERT_TRUE(work.first_overflow());
  EXPECT_EQ(work.first_overflow()->iteration, 1);
  EXPECT_TRUE(std::isfinite(all.losses[0]));
}

TEST(stream_model, refuses_what_it_cannot_do) {
  auto device = next_device();
  auto const refused = [&](auto&& change, std::string const& why) {
    auto c = small(2, 2, 2);
    change(c);
    try {
      work_on_host const work(c, some_text(), device);
      ADD_FAILURE() << why;
    } catch (shunt::invalid_problem const& error) {
      EXPECT_EQ(error.what(), why);
    }
  };
  refused([](auto& c) { c.unit = std::chrono::milliseconds(1); },
          "op-ms: operations on streams take what they take");
  refused([](auto& c) { c.only = 0; }, "only: workers on streams are all in one process");
  refused([](auto& c) { c.rollback = shunt::rollback::inverse; },
          "rollback: steps on streams go back to the kept state");
  refused([](auto& c) { c.clip = 0; }, "clip: must be a number above 0");

  auto const c = small(1, 1, 2);
  work_on_host work(c, some_text(), device);
  auto p = *shunt::plan_iteration(shunt::one_f_one_b{}, c.job, work.tensors()).iteration;
  for (auto& i : p.ranks[0].instructions)
    if (i.op.kind == shunt::op_kind::step) i.lane = 7;
  EXPECT_THROW(work.fit(p), shunt::invalid_program);
}

}  // namespace
}  // namespace example::tests::stream_model_test
