#include "shunt/gloo/detail/platform.hpp"

#include <chrono>

#include "shunt/gloo/detail/host_platform.hpp"
#include "support/simulated/platform.hpp"

namespace shunt::tests::platform_test {
namespace {

static_assert(detail::platform<detail::host_platform>);
static_assert(detail::platform<simulated::virtual_platform>);

/// One without a clock.
struct without_clock {
  using mutex = detail::host_platform::mutex;
  using condition = detail::host_platform::condition;
  using thread = detail::host_platform::thread;
  using connections = detail::host_platform::connections;
  static void sleep(std::chrono::nanoseconds) {}
};
static_assert(!detail::platform<without_clock>);

}  // namespace
}  // namespace shunt::tests::platform_test
