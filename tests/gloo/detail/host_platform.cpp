#include "shunt/gloo/detail/host_platform.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace shunt::tests::host_platform_test {
namespace {

using on = detail::host_platform;
using namespace std::chrono_literals;

TEST(host_platform, sleeps_by_its_clock) {
  auto const begun = on::now();
  on::sleep(2ms);
  EXPECT_GE(on::now() - begun, 2ms);
}

}  // namespace
}  // namespace shunt::tests::host_platform_test
