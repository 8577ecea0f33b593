#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/search/order_search.hpp"
#include "support/text.hpp"

namespace shunt::tests::order_search_test {
namespace {

using namespace detail;

TEST(order_search, never_worse_than_the_plan_it_starts_from) {
  pipeline_job const job{
      .stages = 3,
      .microbatches = 4,
      .costs = {
          .forward = {2, 5, 3}, .backward_input = {4, 1, 2}, .backward_weight = 2, .step = 1}};
  auto start = gpipe{}(job).plan;
  for (bool const staggered : {false, true}) {
    start.staggered_step = staggered;
    order_search search(job, start, false, 20'000);
    auto const found = search.best(0);
    EXPECT_EQ(lines(check(job, found)), "");
    EXPECT_LE(period(job, found), period(job, start));
    EXPECT_EQ(found.staggered_step, staggered);
  }
}

TEST(order_search, without_effort_the_plan_stays) {
  pipeline_job const job{.stages = 2, .microbatches = 3};
  auto const start = gpipe{}(job).plan;
  order_search search(job, start, false, 0);
  EXPECT_EQ(search.best(0), start);
}

}  // namespace
}  // namespace shunt::tests::order_search_test
