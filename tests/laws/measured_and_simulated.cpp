#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/trained_pipeline.hpp"

namespace shunt::tests::measured_and_simulated_test {
namespace {

using namespace trained_pipeline;

// Lanes delay nothing where each edge has its own, and no layout of lanes does where messages take
// no time.
TEST(measured_and_simulated, messages_are_there_when_needed) {
  std::uint64_t seed = 100;
  for (auto const& one : random_jobs_of_all_layouts())
    for (auto const lanes :
         {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge}) {
      auto job = one;
      if (lanes != message_lanes::one_per_edge) job.transfer = 0;
      ++seed;
      auto const plan = plan_by_chance(job, seed, seed % 2 == 0);
      auto const expected = times(job, plan);
      timetable found;
      found.times.resize(plan.order.size());
      for (auto const& e :
           simulated_executor{job_costs(job)}.run(lower(job, plan, {}, lanes)).timeline.events)
        if (e.code == opcode::compute) found.times[e.rank].push_back({e.start, e.end});
      if (plan.overlapped.empty()) {
        EXPECT_EQ(found, expected) << seed;
        continue;
      }
      for (rank_id r : ids<rank_id>(plan.order.size()))  // the shorter of a pair ends by itself,
                                                         // and what it makes is there earlier
        for (std::size_t i = 0; i < plan.order[r].size(); ++i)
          EXPECT_LE(found.times[r][i].start, expected.times[r][i].start) << seed;
      for (rank_id r : ids<rank_id>(plan.order.size()))
        for (std::int32_t const i : plan.overlapped[r])
          EXPECT_EQ(found.times[r][static_cast<std::size_t>(i)].start,
                    found.times[r][static_cast<std::size_t>(i) + 1].start)
              << seed;
    }
}

TEST(measured_and_simulated, run_at_the_times_that_are_measured) {
  for (auto const& job : random_linear_jobs()) {
    for (auto const& plan : plans_of(job)) {
      auto const program = lower(job, plan);
      auto const expected = times(job, plan);
      timetable found;
      found.times.resize(plan.order.size());
      for (auto const& e : simulated_executor{job_costs(job)}.run(program).timeline.events)
        if (e.code == opcode::compute) found.times[e.rank].push_back({e.start, e.end});
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(measured_and_simulated, repeat_at_the_period_that_is_measured_exhaustive) {
  constexpr int iterations = 240, lap = 60;  // lap: a multiple of every possible cycle of stages
  for (auto const& job : random_linear_jobs()) {
    for (auto const& plan : plans_of(job)) {
      no_work none;
      auto session = simulated_executor{job_costs(job)}.open(none);
      auto const program = std::make_shared<shunt::program const>(lower(job, plan));
      for (int i = 0; i < iterations; ++i) session.submit(program);
      std::vector<ticks> stepped(iterations, 0);
      for (auto const& e : session.wait().timeline.events)
        if (e.code == opcode::compute && e.op.kind == op_kind::step && e.op.stage == 0)
          stepped[static_cast<std::size_t>(e.iteration)] = e.end;
      ticks const distance = stepped[iterations - 1] - stepped[iterations - 1 - lap],
                  promised = period(job, plan);
      EXPECT_LE(distance, promised * lap);
      EXPECT_GT(distance, (promised - 1) * lap);
      if (!plan.staggered_step) {
        EXPECT_EQ(distance,
                  promised * lap);  // these random_linear_jobs step equally long everywhere
      }
    }
  }
}

}  // namespace
}  // namespace shunt::tests::measured_and_simulated_test
