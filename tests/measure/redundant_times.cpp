#include "shunt/measure/redundant_times.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "support/redundancy.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::redundant_times_test {
namespace {

TEST(bamboo_times, redundant_forwards_fill_the_wait_for_gradients) {
  auto const job = bamboo_job(2, 2);
  auto const plan = redundant_forward::insert(job, one_f_one_b{}.order(job));
  ASSERT_EQ(shown(plan, 0), "F0 F1 R0 B0 R1 B1 S");
  auto const table = times(job, plan);
  // Stage 1: F0 1 to 2, B0 2 to 4, F1 4 to 5, B1 5 to 7.
  EXPECT_EQ(table.redundant[0][0], (interval{2, 3}));
  EXPECT_EQ(table.plain.times[0][2], (interval{4, 6}));
  EXPECT_EQ(table.redundant[0][1], (interval{6, 7}));
  EXPECT_EQ(table.plain.times[0][3], (interval{7, 9}));
  EXPECT_TRUE(table.redundant[1].empty());
}

TEST(bamboo_times, without_redundant_forwards_they_are_those_of_the_schedule) {
  auto job = bamboo_job(4, 6);
  job.pipelines = 2;
  job.transfer = 3;
  job.costs.step = 5;
  redundant_schedule plan{.plain = one_f_one_b{}.order(job), .redundant = {}};
  plan.redundant.resize(plan.plain.order.size());
  for (bool const staggered : {false, true}) {
    plan.plain.staggered_step = staggered;
    EXPECT_EQ(times(job, plan).plain, times(job, plan.plain));
  }
}

TEST(bamboo_times, refusals) {
  auto const job = bamboo_job(3, 2);
  auto const plan = redundant_forward::insert(job, one_f_one_b{}.order(job));
  auto const refused = [&](auto const& change) {
    auto broken = plan;
    change(broken);
    return thrown_by([&] { (void)times(job, broken); });
  };
  EXPECT_EQ(refused([](auto& p) { p.redundant.resize(2); }),
            "redundant forwards that aren't one list a rank");
  EXPECT_EQ(refused([](auto& p) { p.redundant[0][1].before = 0; }),
            "a redundant forward without a place in its rank's list");
  EXPECT_EQ(refused([](auto& p) { p.redundant[0][1].before = 9; }),
            "a redundant forward without a place in its rank's list");
  EXPECT_EQ(refused([](auto& p) { p.redundant[0][1].forward.stage = 3; }),
            "a redundant forward that the job doesn't have, or twice");
  EXPECT_EQ(refused([](auto& p) { p.redundant[0][1] = p.redundant[0][0]; }),
            "a redundant forward that the job doesn't have, or twice");
  EXPECT_EQ(refused([](auto& p) { p.plain.overlapped.resize(3); }),
            "a schedule with overlapped pairs and redundant forwards");
  EXPECT_NE(refused([](auto& p) { p.plain.order[0].clear(); }).find("redundant forward"),
            std::string::npos);
}

}  // namespace
}  // namespace shunt::tests::redundant_times_test
