#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "shunt/gloo/detail/platform.hpp"

namespace shunt::detail {

class connections;

/// The operating system, and Gloo (connections.hpp).
struct host_platform {
  using mutex = std::mutex;
  using condition = std::condition_variable;
  using thread = std::thread;
  using connections = detail::connections;

  [[nodiscard]] static std::chrono::steady_clock::time_point now() {
    return std::chrono::steady_clock::now();
  }
  static void sleep(std::chrono::nanoseconds pause) { std::this_thread::sleep_for(pause); }
};
static_assert(platform<host_platform>);

}  // namespace shunt::detail
