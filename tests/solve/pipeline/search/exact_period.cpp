#include <gtest/gtest.h>

#include <stop_token>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/pipeline/search/exact_period.hpp"
#include "support/text.hpp"

namespace shunt::tests::exact_period_test {
namespace {

using namespace detail;

// Two stages, two micro-batches, unit costs, split: 7 ticks, for rank 1 starts at 1 and has 6.
TEST(exact_period, the_least_period_by_hand) {
  pipeline_job const job{.stages = 2, .microbatches = 2};
  exact_period search(job, true, false, routing::by_load, 10'000, std::stop_token{});
  using result = decltype(search.possible(0));
  EXPECT_EQ(search.possible(6), result::impossible);
  ASSERT_EQ(search.possible(7), result::found);
  EXPECT_EQ(lines(check(job, search.plan())), "");
  EXPECT_LE(period(job, search.plan()), 7);
  EXPECT_EQ(search.whole(), 2 * 2 * 3);
}

}  // namespace
}  // namespace shunt::tests::exact_period_test
