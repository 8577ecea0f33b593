#include <gtest/gtest.h>

#include <cstddef>

#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "support/generators.hpp"

namespace shunt::tests::dual_pipe_test {
namespace {

// DeepSeek-V3, table 2: with an overlapped pair of 3 ticks for F 2, B 2 + 2 (W 2 of them), 8 ranks.
TEST(dual_pipe, idles_as_its_report_says) {
  auto job =
      generator_job(shape::bidirectional, 8, 20, 1,
                    {.forward = 2, .backward_input = 2, .backward_weight = 2, .overlap_gain = 2});
  auto const plan = dual_pipe{}.order(job);
  EXPECT_EQ(idle(job, plan), (8 / 2 - 1) * ((2 + 4 - 2) + 4 - 3 * 2));
  EXPECT_EQ(worst_stash(job, plan), 8 + 1);
  EXPECT_EQ(
      plan.overlapped[3].size(),
      static_cast<std::size_t>(2 * (20 - 8 + 1 + 3) - 1));  // all of the steady state but the first
  job.costs.overlap_gain = 0;
  EXPECT_TRUE(dual_pipe{}.order(job).overlapped.empty());
}

}  // namespace
}  // namespace shunt::tests::dual_pipe_test
