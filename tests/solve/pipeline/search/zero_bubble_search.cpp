#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"
#include "support/text.hpp"

namespace shunt::tests::zero_bubble_search_test {
namespace {

using namespace detail;

TEST(zero_bubble_search, its_best_order_is_a_plan_of_that_makespan) {
  pipeline_job const job{
      .stages = 3,
      .microbatches = 5,
      .costs = {.forward = {4, 6, 2}, .backward_input = {2, 4, 6}, .backward_weight = 2}};
  auto const bound = period_bound(job, false);
  zero_bubble_search search(job, false, bound, 20'000);
  EXPECT_FALSE(search.finished());
  search.search({{}});
  auto const plan = search.chain().schedule(search.sequence(), false);
  EXPECT_EQ(lines(check(job, plan)), "");
  EXPECT_EQ(search.best(), makespan(job, plan));
  EXPECT_GE(search.best(), bound);
}

TEST(zero_bubble_search, stops_where_the_bound_is_reached) {
  pipeline_job const job{.stages = 1, .microbatches = 4};
  zero_bubble_search search(job, false, 12, 1'000'000);
  search.search({{}});
  EXPECT_TRUE(search.finished());
  EXPECT_EQ(search.best(), 12);
}

}  // namespace
}  // namespace shunt::tests::zero_bubble_search_test
