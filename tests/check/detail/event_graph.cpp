#include "shunt/check/detail/event_graph.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <utility>
#include <vector>

namespace shunt::tests::event_graph_test {
namespace {

using edges = std::vector<std::pair<std::size_t, std::size_t>>;

/// Which of `count` events happen: with these waits, (earlier, later), and these joined.
std::vector<bool> happen(std::size_t count, edges const& waits, edges const& joined) {
  detail::event_graph g(count);
  for (auto const& [earlier, later] : waits) g.count(earlier);
  g.counted();
  for (auto const& [earlier, later] : waits) g.wait(earlier, later);
  for (auto const& [a, b] : joined) g.join(a, b);
  g.run();
  std::vector<bool> all;
  for (std::size_t n = 0; n < count; ++n) all.push_back(g.happened(n));
  return all;
}

TEST(event_graph, what_stands_behind_a_circle_never_happens) {
  EXPECT_EQ(happen(5, {{0, 1}, {1, 2}, {2, 1}, {2, 3}}, {}),
            (std::vector{true, false, false, false, true}));
}

TEST(event_graph, joined_events_wait_for_what_any_of_them_waits_for) {
  EXPECT_EQ(happen(4, {{0, 1}, {2, 3}}, {{1, 2}}), std::vector<bool>(4, true));
  EXPECT_EQ(happen(4, {{0, 1}, {2, 0}}, {{1, 2}}),  // 2 can't happen before 0, which waits for it
            (std::vector{false, false, false, true}));
  EXPECT_EQ(happen(5, {{3, 2}, {4, 3}, {1, 4}}, {{0, 1}, {0, 2}}), (std::vector<bool>(5, false)));
}

}  // namespace
}  // namespace shunt::tests::event_graph_test
