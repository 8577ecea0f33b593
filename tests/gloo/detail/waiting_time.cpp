#include "shunt/gloo/detail/waiting_time.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace shunt::tests::waiting_time_test {
namespace {

using namespace std::chrono_literals;

TEST(waiting_time, leaves_out_what_the_process_stood_still) {
  detail::waiting_time waited;
  std::this_thread::sleep_for(30ms);
  auto const first = waited.passed();
  EXPECT_GE(first, 30ms);
  std::this_thread::sleep_for(500ms);
  EXPECT_LE(waited.passed(), first + 100ms);
}

}  // namespace
}  // namespace shunt::tests::waiting_time_test
