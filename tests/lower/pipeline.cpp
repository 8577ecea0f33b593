#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/small_schedules.hpp"
#include "support/trained_pipeline.hpp"

namespace shunt::tests::pipeline_test {
namespace {

using namespace small_schedules;

using namespace trained_pipeline;

TEST(pipeline, programs_keep_no_more_sets_of_buffers_than_a_plan_stashes) {
  auto const job = pipeline_job{.pipelines = 3, .stages = 4, .microbatches = 6};
  for (auto const& plan : {gpipe{}(job).plan, one_f_one_b{}(job).plan, zb_h1{}(job).plan}) {
    auto const program = lower(job, plan);
    auto const peak = stash_peak(job, plan);
    for (rank_id r : ids<rank_id>(job.ranks()))
      EXPECT_EQ(program.ranks[r].buffers.size(), static_cast<std::size_t>(4 + 5 * peak[r]));
  }
}

TEST(pipeline, train_as_if_there_were_no_pipeline) {
  for (auto const& job : random_linear_jobs()) {
    auto const expected = undisturbed(job, 3), one_before = undisturbed(job, 2);
    for (auto const& plan : plans_of(job)) {
      toy_model model(job);
      auto const program = lower(job, plan, tensors);
      auto session = inline_executor{}.open(model);
      for (int i = 0; i < 3; ++i) session.submit(program);
      EXPECT_TRUE(session.wait().lost.empty());
      for (rank_id r : ids<rank_id>(job.ranks())) {
        if (!job.alive(job.worker_of(r))) continue;
        EXPECT_EQ(model.state(r), expected[job.worker_of(r).stage.index()]);
        EXPECT_EQ(model.kept(r), one_before[job.worker_of(r).stage.index()]);
      }
    }
  }
}

TEST(pipeline, train_alike_under_every_layout) {
  std::uint64_t seed = 0;
  std::size_t pairs = 0, copies = 0;
  for (auto const& job : random_jobs_of_all_layouts()) {
    auto const expected = undisturbed(job, 3), one_before = undisturbed(job, 2);
    auto const plan = plan_by_chance(job, ++seed);
    ASSERT_TRUE(check(job, plan).empty()) << to_string(check(job, plan).front());
    for (auto const& of_rank : plan.overlapped) pairs += of_rank.size();
    for (auto const lanes :
         {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge}) {
      auto const actions = place_messages(job, plan, lanes);
      EXPECT_TRUE(check(job, plan, actions).empty())
          << to_string(check(job, plan, actions).front());
      EXPECT_EQ(computing_of(actions, plan.staggered_step), plan);
      auto const program = lower(job, plan, tensors, lanes);
      for (auto const& broken :
           {check(program), check_rendezvous(program), check_without_tags(program)})
        EXPECT_TRUE(broken.empty())
            << seed << ' ' << to_string(lanes) << ": " << to_string(broken.front());
      for (auto const& own : program.ranks)
        for (auto const& i : own.instructions) copies += i.code == opcode::copy && i.lane == 0;
      auto const trained = [&](auto const& executor) {
        toy_model model(job);
        auto session = executor.open(model);
        for (int i = 0; i < 3; ++i) session.submit(program);
        EXPECT_TRUE(session.wait().lost.empty());
        for (rank_id r : ids<rank_id>(job.ranks())) {
          if (!job.alive(r)) continue;
          std::int32_t chunk = 0;
          for (stage_id s : job.stages_of(r)) {
            EXPECT_EQ(model.state(r, chunk), expected[s.index()]);
            EXPECT_EQ(model.kept(r, chunk++), one_before[s.index()]);
          }
        }
      };
      trained(inline_executor{});
      trained(simulated_executor{job_costs(job)});
      if (seed % 8 == 0) trained(thread_executor{});
    }
  }
  EXPECT_GT(pairs, 20U);
  EXPECT_GT(copies, 1000U);
}

TEST(pipeline, broken_tensors_and_joins_are_refused) {
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
}  // namespace shunt::tests::pipeline_test
