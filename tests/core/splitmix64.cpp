#include "shunt/core/splitmix64.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace shunt::tests::splitmix64_test {
namespace {

TEST(splitmix64, gives_the_published_numbers) {
  splitmix64 random{1234567};
  for (std::uint64_t const next : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                   4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(random(), next);
  EXPECT_EQ(splitmix64::mixed(1234567), 6457827717110365317u);
}

TEST(splitmix64, stays_below_the_bound) {
  splitmix64 random{7}, same{7};
  for (std::uint64_t bound = 1; bound <= std::uint64_t{1} << 32; bound *= 2) {
    auto const value = random.below(bound);
    EXPECT_LT(value, bound);
    EXPECT_EQ(value, (same() >> 32) * bound >> 32);
  }
}

}  // namespace
}  // namespace shunt::tests::splitmix64_test
