#include <gtest/gtest.h>

#include <cstdint>
#include <stop_token>

#include "shunt/solve/pipeline/search/job_shop.hpp"

namespace shunt::tests::job_shop_test {
namespace {

using namespace detail;

// One rank, two micro-batches, fused: two forwards and two backwards take 6 ticks.
TEST(job_shop, a_window_of_the_work_is_enough_and_one_tick_less_is_not) {
  pipeline_job const job{.stages = 1, .microbatches = 2};
  exact_shop const shop(job, false, routing::by_load);
  EXPECT_EQ(shop.types.size(), 2u);
  EXPECT_EQ(shop.operations, 4);
  EXPECT_EQ(shop.count(shop.types[0]), 2);
  EXPECT_EQ(shop.operation_of(shop.types[1], 1), (operation{op_kind::backward, 0, 0, 1}));
  std::int64_t nodes = 1000;
  std::stop_token const never_stopped;
  exact_search search(shop, nodes, never_stopped);
  using result = decltype(search.search());
  search.set_windows({0}, {6});
  EXPECT_EQ(search.search(), result::found);
  search.set_windows({0}, {5});
  EXPECT_EQ(search.search(), result::impossible);
}

TEST(job_shop, nodes_are_a_limit) {
  pipeline_job const job{.stages = 3, .microbatches = 4};
  exact_shop const shop(job, true, routing::by_load);
  std::int64_t nodes = 1;
  std::stop_token const never_stopped;
  exact_search search(shop, nodes, never_stopped);
  using result = decltype(search.search());
  search.set_windows({0, 0, 0}, {30, 30, 30});
  EXPECT_EQ(search.search(), result::limit);
}

}  // namespace
}  // namespace shunt::tests::job_shop_test
