#include "shunt/simulate/detail/links.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::links_test {
namespace {

using namespace detail;

TEST(links, carry_one_message_at_a_time_in_each_direction) {
  detail::links l;
  EXPECT_EQ(l.occupy(0, 1, 3, 10), 3);
  EXPECT_EQ(l.occupy(0, 1, 5, 4), 13);
  EXPECT_EQ(l.occupy(1, 0, 5, 4), 5);
  EXPECT_EQ(l.occupy(0, 2, 0, 1), 0);
  EXPECT_EQ(l.occupy(0, 1, 40, 1), 40);
}

}  // namespace
}  // namespace shunt::tests::links_test
