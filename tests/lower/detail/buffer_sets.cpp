#include <gtest/gtest.h>

#include "shunt/lower/detail/buffer_sets.hpp"

namespace shunt::tests::buffer_sets_test {
namespace {

using namespace detail;

TEST(buffer_sets, a_set_is_free_when_retired_and_passed_on) {
  buffer_sets sets(0);
  EXPECT_TRUE(sets.take(0, 0).added);
  sets[0].to_pass_on = 1;
  sets.retire(0);
  EXPECT_EQ(sets.take(5, 5).number, 1);  // set 0 still has an output to send
  sets.passed_on(0);
  auto const again = sets.take(6, 6);
  EXPECT_EQ(again.number, 0);
  EXPECT_FALSE(again.added);
  EXPECT_EQ(sets.size(), 2u);
}

TEST(buffer_sets, a_set_whose_output_is_awaited_later_is_passed_over) {
  buffer_sets sets(0);
  for (int i = 0; i < 2; ++i) (void)sets.take(0, 0);
  sets[0].output_taken = 9;
  sets.retire(0);
  sets.retire(1);
  EXPECT_EQ(sets.take(4, 20).number, 1);
  EXPECT_EQ(sets.take(9, 20).number, 0);
}

TEST(buffer_sets, spare_sets_stay_free) {
  buffer_sets sets(1);
  (void)sets.take(0, 0);
  sets.retire(0);
  EXPECT_TRUE(sets.take(1, 1).added);
  sets.clear();
  EXPECT_EQ(sets.size(), 0u);
}

}  // namespace
}  // namespace shunt::tests::buffer_sets_test
