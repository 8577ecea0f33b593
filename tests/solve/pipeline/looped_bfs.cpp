#include <gtest/gtest.h>

#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::looped_bfs_test {
namespace {

TEST(looped_bfs, runs_all_micro_batches_through_a_chunk_before_the_next) {
  pipeline_job const job{.stages = 4, .microbatches = 2, .layout = stage_layout::looped(2)};
  auto const plan = looped_bfs{}.order(job);
  EXPECT_EQ(staged_form(plan, 1), "F1:0 F1:1 F3:0 F3:1 B3:0 B3:1 B1:0 B1:1 S1 S3");
}

}  // namespace
}  // namespace shunt::tests::looped_bfs_test
