#include "shunt/execute/host/stopwatch.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace shunt::tests::stopwatch_test {
namespace {

TEST(stopwatch, counts_nanoseconds_since_it_was_made) {
  stopwatch const watch;
  auto const before = watch.now();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  auto const slept = watch.now() - before;
  EXPECT_GE(before, 0);
  EXPECT_GE(static_cast<double>(slept) * stopwatch::seconds_per_tick, 0.002);
}

}  // namespace
}  // namespace shunt::tests::stopwatch_test
