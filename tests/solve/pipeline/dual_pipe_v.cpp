#include <gtest/gtest.h>

#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "support/generators.hpp"

namespace shunt::tests::dual_pipe_v_test {
namespace {

// Every rank of the halved pipe does what the rank at the same place of the whole one does.
TEST(dual_pipe_v, is_dual_pipe_cut_in_half) {
  auto const whole = generator_job(shape::bidirectional, 8, 13, 1, {.overlap_gain = 1}),
             half = generator_job(shape::wave, 4, 13, 2, {.overlap_gain = 1});
  auto const a = dual_pipe{}.order(whole), b = dual_pipe_v{}.order(half);
  for (rank_id r : ids<rank_id>(4)) {
    auto merged = a.order[r];
    for (operation& o : merged) o.pipeline = 0;
    EXPECT_EQ(merged, b.order[r]);
    EXPECT_EQ(a.overlapped[r], b.overlapped[r]);
    auto mirrored = a.order[7 - r.value()];
    for (operation& o : mirrored) o.pipeline = 0;
    EXPECT_EQ(mirrored, b.order[r]);
  }
}

}  // namespace
}  // namespace shunt::tests::dual_pipe_v_test
