#include <gtest/gtest.h>

#include "shunt/solve/pipeline/gpipe.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::gpipe_test {
namespace {

TEST(gpipe, all_forwards_come_before_all_backwards) {
  auto const plan = gpipe{}.order({.stages = 2, .microbatches = 3});
  EXPECT_EQ(short_form(plan, 0), "F0 F1 F2 B0 B1 B2 S");
  EXPECT_EQ(short_form(plan, 1), "F0 F1 F2 B0 B1 B2 S");
}

TEST(gpipe, makespan_of_equal_stages) {
  pipeline_job const job{.stages = 5,
                         .microbatches = 7,
                         .costs = {.forward = 2, .backward_input = 3, .backward_weight = 1}};
  EXPECT_EQ(gpipe{}(job).objective, (7 + 5 - 1) * (2 + 4));
}

}  // namespace
}  // namespace shunt::tests::gpipe_test
