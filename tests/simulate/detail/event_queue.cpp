#include "shunt/simulate/detail/event_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace shunt::tests::event_queue_test {
namespace {

using namespace detail;

std::vector<ready_rank> emptied(event_queue q) {
  std::vector<ready_rank> all;
  while (!q.empty()) all.push_back(q.pop());
  return all;
}

std::vector<ready_rank> const some{{5, 1, 0}, {2, 3, 4}, {2, 0, 7}, {2, 0, 1}, {9, 0, 0}};

TEST(event_queue, the_earliest_leaves_first_ties_by_rank_and_instruction) {
  event_queue q(true);
  for (auto const& e : some) q.push(e);
  EXPECT_EQ(q.front(), (ready_rank{2, 0, 1}));
  auto sorted = some;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(emptied(q), sorted);
}

TEST(event_queue, can_be_ordered_later) {
  event_queue q(false);
  for (auto const& e : some) q.push(e);
  EXPECT_EQ(q.all().size(), some.size());
  EXPECT_FALSE(q.by_time());
  q.order_by_time();
  auto sorted = some;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(emptied(q), sorted);
}

}  // namespace
}  // namespace shunt::tests::event_queue_test
