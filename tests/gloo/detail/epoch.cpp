#include "shunt/gloo/detail/epoch.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace shunt::tests::epoch_test {
namespace {

using detail::exit_status;

TEST(exit_status, is_one_number) {
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  for (std::int32_t const programs : {0, 1, most})
    for (std::int32_t const instructions : {0, 1, most / 2})
      for (bool const whole : {false, true}) {
        exit_status const one{{programs, instructions}, whole};
        auto const again = exit_status::of(one.note());
        EXPECT_EQ(again.done, one.done);
        EXPECT_EQ(again.whole, whole);
        EXPECT_GE(one.note(), 0);
      }
}

}  // namespace
}  // namespace shunt::tests::epoch_test
