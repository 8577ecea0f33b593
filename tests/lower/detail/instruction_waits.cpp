#include "shunt/lower/detail/instruction_waits.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace shunt::tests::instruction_waits_test {
namespace {

TEST(instruction_waits, hold_each_once_and_pass_all_on) {
  using detail::instruction_waits;
  instruction_waits waits;
  std::vector<std::int32_t> wanted;
  for (std::int32_t n = 0; n <= 6; ++n) {
    std::vector<std::int32_t> placed;
    EXPECT_EQ(waits.place(3,
                          [&](placing const& at) {
                            EXPECT_EQ(at.lane, 3);
                            placed = at.after;
                            return 40 + n;
                          }),
              40 + n);
    EXPECT_EQ(placed, wanted);
    waits.add(instruction_waits::none);
    waits.add(10 * n);
    waits.add(10 * n);
    wanted.push_back(10 * n);
    if (n == 5) break;
  }
  EXPECT_EQ(waits.count, 6U);
}

}  // namespace
}  // namespace shunt::tests::instruction_waits_test
