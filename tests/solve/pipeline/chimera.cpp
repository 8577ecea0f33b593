#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "support/generators.hpp"

namespace shunt::tests::chimera_test {
namespace {

// Chimera, table 2: with N micro-batches in all on D stages, D - 2 of 2 N + D - 2 where F = B, of 3
// N / 2 + D - 2 where B = 2 F.
TEST(chimera, idles_as_its_paper_says) {
  for (std::int32_t const depth : {4, 6, 8, 16}) {
    auto const n = depth;  // N = D
    auto job = generator_job(shape::bidirectional, depth, n / 2, 1,
                             {.forward = 2, .backward_input = 1, .backward_weight = 1});
    ticks const work = 4 * n;
    EXPECT_EQ(makespan(job, chimera{}.order(job)) * 2 * n, work * (2 * n + depth - 2));
    job.costs = {};
    EXPECT_EQ(makespan(job, chimera{}.order(job)) * 3 * n, 3 * n * (3 * n + 2 * (depth - 2)));
  }
}

}  // namespace
}  // namespace shunt::tests::chimera_test
