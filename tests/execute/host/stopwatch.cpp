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

TEST(stopwatch, tells_its_times_on_the_steady_clock) {
  auto const steady = [] {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  auto const before = steady();
  stopwatch const watch;
  auto const now = watch.on_steady_clock(watch.now());
  EXPECT_GE(watch.on_steady_clock(0), before);
  EXPECT_GE(now, watch.on_steady_clock(0));
  EXPECT_LE(now, steady());
}

}  // namespace
}  // namespace shunt::tests::stopwatch_test
