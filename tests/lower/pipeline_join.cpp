#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/text.hpp"
#include "support/trained_pipeline.hpp"

namespace shunt::tests::pipeline_join_test {
namespace {

using namespace trained_pipeline;

TEST(pipeline_join, joining_workers_get_the_state_of_the_lowest_live_peer) {
  pipeline_job const job{
      .pipelines = 3, .stages = 2, .microbatches = 1, .dead = {{0, 1}, {2, 1}, {1, 0}}};
  auto const joined = lower_join(job, {{0, 1}, {1, 0}}, {.state = {16, 24}});
  EXPECT_EQ(lines(check(joined)), "");
  EXPECT_EQ(joined.instructions(), 4u);
  auto const& sender = joined.ranks[job.rank_of({1, 1})];
  ASSERT_EQ(sender.instructions.size(), 1u);
  EXPECT_EQ(sender.instructions[0].peer, job.rank_of({0, 1}));
  EXPECT_EQ(sender.regions[0], (region{pipeline_buffers::state(), 0, 24}));
  EXPECT_EQ(joined.ranks[job.rank_of({1, 0})].regions[0],
            (region{pipeline_buffers::state(), 0, 16}));
}

TEST(pipeline_join, ranks_with_several_stages_come_back) {
  pipeline_job whole{
      .pipelines = 2, .stages = 6, .microbatches = 3, .layout = stage_layout::wave(2)};
  auto with_dead_ranks = whole;
  with_dead_ranks.dead = {{1, 2}, {0, 5}};  // ranks 5 and 0
  toy_model model(whole);
  std::int64_t iteration = 0;
  auto const run = [&](pipeline_job const& job, std::uint64_t seed) {
    auto session = inline_executor{}.open(model, iteration++);
    session.submit(lower(job, plan_by_chance(job, seed), tensors));
    EXPECT_TRUE(session.wait().lost.empty());
  };
  run(whole, 1);
  run(with_dead_ranks, 2);
  for (worker const& w : with_dead_ranks.dead)
    for (std::int32_t chunk : {0, 1})
      model.set(whole.rank_of(w), pipeline_buffers::state(chunk), 0);
  auto session = inline_executor{}.open(model);
  session.submit(lower_join(with_dead_ranks, with_dead_ranks.dead, tensors));
  EXPECT_TRUE(session.wait().lost.empty());
  run(whole, 3);
  auto const expected = undisturbed(whole, 3);
  for (rank_id r : ids<rank_id>(whole.ranks())) {
    std::int32_t chunk = 0;
    for (stage_id s : whole.stages_of(r)) EXPECT_EQ(model.state(r, chunk++), expected[s.index()]);
  }
}

TEST(pipeline_join, workers_die_and_come_back_between_iterations) {
  pipeline_job whole{.pipelines = 3, .stages = 4, .microbatches = 5};
  auto with_dead_ranks = whole;
  with_dead_ranks.dead = {{1, 2}, {0, 0}, {2, 2}};
  toy_model model(whole);
  std::int64_t iteration = 0;
  auto const run = [&](pipeline_job const& job) {
    auto session = thread_executor{}.open(model, iteration++);
    session.submit(lower(job, slipstream{}(job).plan, tensors));
    EXPECT_TRUE(session.wait().lost.empty());
  };
  run(whole);
  run(with_dead_ranks);
  run(with_dead_ranks);
  for (worker const& w : with_dead_ranks.dead)
    model.set(whole.rank_of(w), pipeline_buffers::state(), 0);
  auto session = inline_executor{}.open(model);
  session.submit(lower_join(with_dead_ranks, with_dead_ranks.dead, tensors));
  EXPECT_TRUE(session.wait().lost.empty());
  run(whole);
  auto const expected = undisturbed(whole, 4);
  for (rank_id r : ids<rank_id>(whole.ranks()))
    EXPECT_EQ(model.state(r), expected[whole.worker_of(r).stage.index()]);
}

}  // namespace
}  // namespace shunt::tests::pipeline_join_test
