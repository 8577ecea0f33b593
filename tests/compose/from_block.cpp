#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/compose/from_block.hpp"
#include "shunt/compose/packed_block.hpp"
#include "support/text.hpp"

namespace shunt::tests::from_block_test {
namespace {

TEST(from_block, squeezing_is_never_longer_than_the_block) {
  pipeline_job const job{.stages = 4, .microbatches = 6};
  auto const block = packed_block(job);
  auto const plain = from_block{block, false}(job), squeezed = from_block{block}(job);
  EXPECT_EQ(lines(check(job, plain.plan)), "");
  EXPECT_EQ(lines(check(job, squeezed.plan)), "");
  EXPECT_LE(squeezed.objective, plain.objective);
  EXPECT_GE(squeezed.objective, squeezed.lower_bound);
}

TEST(from_block, a_rule_that_is_broken_is_the_reason) {
  pipeline_job job{.stages = 2, .microbatches = 3};
  auto const block = packed_block(job);
  job.memory = stash_cap::per_worker(1);
  auto const answer = from_block{block}(job);
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason.find("memory: "), 0u);
}

}  // namespace
}  // namespace shunt::tests::from_block_test
