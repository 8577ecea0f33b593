#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/error.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "support/generators.hpp"
#include "support/pipeline_jobs.hpp"

namespace shunt::tests::interleaved_one_f_one_b_test {
namespace {

TEST(interleaved_one_f_one_b, groups_of_a_given_size) {
  for (std::int32_t const p : {1, 3, 4})
    for (std::int32_t m = 1; m <= 3 * p + 1; ++m)
      for (std::int32_t const v : {1, 2, 3})
        for (std::int32_t const g : {p, p + 1, 2 * p + 1, 1'000'000'000}) {
          auto const job = generator_job(shape::looped, p, m, v);
          auto const fused = interleaved_one_f_one_b{.group = g}(job);
          auto const split = interleaved_zero_bubble{.group = g}(job);
          EXPECT_EQ(check(job, fused.plan).size(), 0U) << describe_job(job) << " groups of " << g;
          EXPECT_EQ(check(job, split.plan).size(), 0U) << describe_job(job) << " groups of " << g;
          if (g != p) continue;
          EXPECT_LE(worst_stash(job, fused.plan), 2 * (p - 1) + (v - 1) * p + 1)
              << describe_job(job);
          EXPECT_LE(worst_stash(job, split.plan), v * p) << describe_job(job);
        }
  EXPECT_EQ(worst_stash(generator_job(shape::looped, 8, 15, 2),
                        interleaved_one_f_one_b{}.order(generator_job(shape::looped, 8, 15, 2))),
            30);
  EXPECT_EQ(worst_stash(
                generator_job(shape::looped, 8, 15, 2),
                interleaved_one_f_one_b{.group = 8}.order(generator_job(shape::looped, 8, 15, 2))),
            23);
  for (std::int32_t const g : {3, 1, -1}) {
    auto const job = generator_job(shape::looped, 4, 8, 2);
    EXPECT_THROW(static_cast<void>(interleaved_one_f_one_b{.group = g}(job)), invalid_problem);
    EXPECT_THROW(static_cast<void>(interleaved_zero_bubble{.group = g}(job)), invalid_problem);
  }
}

}  // namespace
}  // namespace shunt::tests::interleaved_one_f_one_b_test
