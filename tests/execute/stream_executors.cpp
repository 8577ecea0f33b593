// Programs on streams and graphs, without a device: no order that the events allow changes a bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/host_streams.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"
#include "support/stream_runs.hpp"

namespace shunt::tests::stream_executors_test {
namespace {

using namespace detail;
using namespace stream_runs;

TEST(stream_executors, give_the_bits_of_random_programs) {
  random_choices d(23);
  for (int round = 0; round < 40; ++round) {
    auto const a = std::make_shared<program const>(random_program(d, 1 + round % 4));
    expect_same_bits({a, a, a}, "program " + std::to_string(round), 3);
  }
}

TEST(stream_executors, give_the_bits_of_lowered_pipelines) {
  for (auto const lanes :
       {message_lanes::one_per_edge, message_lanes::one_per_peer, message_lanes::one_per_rank})
    for (std::int32_t const spare : {0, 1}) {
      auto const job = small_job({{.pipeline = 1, .stage = 2}});
      auto const plan = slipstream{}(job);
      auto const p = lowered(job, plan.plan, {lanes, spare});
      expect_same_bits(repeated(p, 2),
                       "slipstream, lanes " + std::to_string(static_cast<int>(lanes)), 3);
    }
}

TEST(stream_executors, carry_on_with_another_plan) {
  auto const whole = small_job(), broken = small_job({{.pipeline = 0, .stage = 1}});
  auto const a = std::make_shared<program const>(lowered(whole, slipstream{}(whole).plan));
  auto const b = std::make_shared<program const>(lowered(broken, slipstream{}(broken).plan));
  // the work must have room for both
  auto room = *a;
  for (rank_id const r : ids<rank_id>(a->ranks.size())) {
    auto& own = room.ranks[r].buffers;
    auto const& other = b->ranks[r].buffers;
    if (own.size() < other.size()) own.resize(other.size());
    for (buffer_id const k : ids<buffer_id>(other.size()))
      own[k].size = std::max(own[k].size, other[k].size);
  }
  expect_same_bits({std::make_shared<program const>(room), b, a, b}, "plans by turns", 3);
}

TEST(stream_executors, validate_steps_by_words_on_the_device) {
  auto const job = small_job();
  for (auto const when : {validation::before_step, validation::in_next_iteration}) {
    auto const v = validated(lowered(job, slipstream{}(job).plan), when);
    auto programs = repeated(v.iteration, 2);
    programs.push_back(std::make_shared<program const>(v.closing));
    expect_same_bits(programs, "validated steps", 3);
  }
}

TEST(stream_executors, exchange_by_counts_on_the_device) {
  expert_layers const problem{.layers = 2,
                              .experts = 6,
                              .loads = {9, 1, 4, 4, 2, 1, 1, 1, 1, 9, 9, 2},
                              .slots_per_rank = {3, 2, 3, 2}};
  expert_layers const later{.layers = 2,
                            .experts = 6,
                            .loads = {1, 1, 1, 1, 9, 9, 4, 4, 4, 1, 1, 1},
                            .slots_per_rank = {3, 2, 3, 2}};
  optimizer_state const state{.experts = 6, .ranks = 4, .elements = 5};
  auto const shards = uniform_shards{}(state).plan;
  auto const now = swift_moe{}(problem).plan, next = swift_moe{}(later).plan;
  moe_shape const shape{.layers = 2,
                        .tokens = 4,
                        .slot_capacity = 4,
                        .token_bytes = 8,
                        .hidden_bytes = 16,
                        .kept_bytes = 24,
                        .dense_bytes = 32,
                        .sums = 3,
                        .experts = state};
  auto const iteration = [&](expert_placement const& p) {
    return std::make_shared<program const>(lower(shape, p, shards, gradient_collection{}));
  };
  auto const scatter = [&](expert_placement const& p) {
    return std::make_shared<program const>(lower(shape, p, shards, weight_scatter{}));
  };
  expect_same_bits(
      {scatter(now), iteration(now), scatter(next), iteration(next), scatter(now), iteration(now)},
      "MoE");
}

TEST(stream_executors, name_what_they_enqueue_as_timelines_do) {
  auto const job = small_job();
  auto const p = lowered(job, one_f_one_b{}(job).plan);
  lawful_work w(p);
  auto const executor = on_host_streams(1);
  executor.system->keep_names = true;
  auto const o = executor.run(p, w);
  auto names = executor.system->names;
  std::vector<std::string> expected{"program 0"};
  auto const d = find_dependencies(p);
  for (auto const& e : o.timeline.events) {
    auto const partner = d.partner[static_cast<std::size_t>(d.number({e.rank, e.instruction}))];
    bool const follows = is_collective(e.code) &&
                         d.members_of(d.collectives[static_cast<std::size_t>(partner)])[0] !=
                             d.number({e.rank, e.instruction});
    if (!follows) expected.push_back(name_of(e.code, e.op));
  }
  std::sort(names.begin(), names.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
  EXPECT_NE(std::find(names.begin(), names.end(), "forward 2:3"), names.end());
}

/// The double notices what a forgotten wait does to the bits. Others keep an order that the program
/// asks for and no byte happens to need.
TEST(stream_executors, need_the_events_they_have) {
  pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 3};
  auto const programs = repeated(lowered(job, zb_h1{}(job).plan), 2);
  lawful_work expected(*programs[0]);
  (void)run_all(inline_executor{}, programs, expected);
  std::int64_t of_second = 0, last = 0;
  auto const same = [&](std::uint64_t seed, std::int64_t forgotten) {
    auto const executor = on_host_streams(
        seed, {}, seed % 3 == 0 ? host_streams::temper::lazy : host_streams::temper::random);
    executor.system->drop_wait = forgotten;
    lawful_work w(*programs[0]);
    auto session = executor.open(w, 3);
    session.submit(programs[0]);
    of_second = executor.system->waits();
    session.submit(programs[1]);
    last = executor.system->waits();
    (void)session.wait();
    return w == expected;
  };
  ASSERT_TRUE(same(0, 0));
  std::int64_t const first = of_second + 1, end = last + 1;
  std::int64_t noticed = 0, tried = 0;
  for (auto n = first; n < end; n += 5, ++tried) {
    bool all = true;
    for (std::uint64_t seed = 0; seed < 6 && all; ++seed) all = same(seed, n);
    noticed += !all;
  }
  EXPECT_GT(tried, 20);
  EXPECT_GT(4 * noticed, tried) << noticed << " of " << tried;
}

}  // namespace
}  // namespace shunt::tests::stream_executors_test
