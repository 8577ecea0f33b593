#include "shunt/program/timeline.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::timeline_test {
namespace {

TEST(timeline, names_carry_pipeline_and_micro_batch_where_there_is_one) {
  EXPECT_EQ(name_of(opcode::compute, {.kind = op_kind::forward, .pipeline = 1, .microbatch = 3}),
            "forward 1:3");
  EXPECT_EQ(name_of(opcode::compute, {.kind = op_kind::step, .pipeline = 1, .microbatch = 3}),
            "step");
  EXPECT_EQ(name_of(opcode::all_reduce, {.pipeline = 1, .microbatch = 3}), "all_reduce");
}

TEST(timeline, progress_is_ordered_by_programs_first) {
  EXPECT_LT((progress{0, 9}), (progress{1, 0}));
  EXPECT_LT((progress{1, 0}), (progress{1, 2}));
}

}  // namespace
}  // namespace shunt::tests::timeline_test
