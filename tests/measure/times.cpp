#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>

#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "support/random_cases.hpp"
#include "support/slow_clock.hpp"

namespace shunt::tests::times_test {
namespace {

TEST(times, agree_with_a_slow_clock_on_any_layout_exhaustive) {
  random_cases d(11);
  int pairs = 0, chunks = 0, cycles = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    auto const job = random_job_of_any_layout(d);
    if (stage_without_worker(job)) continue;
    auto const plan = random_order(job, d);
    slow_clock const clock(job, plan, 1);
    EXPECT_EQ(clock.stuck, !graph_of(job, plan).executable());
    if (clock
            .stuck) {  // a pair that waits for itself, or a step before what another rank waits for
      ++cycles;
      continue;
    }
    auto const table = times(job, plan);
    ticks last = 0;
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (std::size_t i = 0; i < plan.order[r].size(); ++i) {
        EXPECT_EQ(table.times[r][i], (interval{clock.start[0][r][i], clock.end[0][r][i]}))
            << "rank " << r.value() << " operation " << i;
        if (plan.order[r][i].kind != op_kind::step) last = std::max(last, clock.end[0][r][i]);
      }
    EXPECT_EQ(makespan(job, plan), last);
    EXPECT_GE(last, makespan_bound(job));
    EXPECT_GE(period(job, plan), period_bound(job, plan.staggered_step));
    chunks += job.ranks() < job.workers();
    for (auto const& list : plan.overlapped) pairs += !list.empty();
  }
  EXPECT_GT(pairs, 20);
  EXPECT_GT(chunks, 50);
  EXPECT_GT(cycles, 0);
}

}  // namespace
}  // namespace shunt::tests::times_test
