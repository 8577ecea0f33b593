#include "shunt/device/window_choice.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>

namespace shunt::tests::window_choice_test {
namespace {

TEST(window_choice, is_a_pure_function_that_reaches_all_places) {
  constexpr window_choice choice{.seed = 3, .places = 7};
  constexpr auto early = choice(2, 1, 0);
  std::int64_t iteration = 2;
  EXPECT_EQ(choice(iteration, 1, 0), early);
  std::set<std::uint64_t> places;
  for (std::int64_t sample = 0; sample < 200; ++sample) places.insert(choice(0, 0, sample));
  EXPECT_EQ(places.size(), 7U);
  EXPECT_EQ(*places.rbegin(), 6U);
  EXPECT_EQ((window_choice{.seed = 9})(5, 5, 5), 0U);
}

}  // namespace
}  // namespace shunt::tests::window_choice_test
