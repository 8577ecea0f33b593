#pragma once
/// What processes over Gloo stand on: clock, threads and connections. With the files of the
/// configuration that is all that waits, takes time or can fail outside the process.
/// `host_platform` is the operating system's; tests run the same protocol on virtual ones.
#include <chrono>
#include <concepts>

namespace shunt::detail {

/// `now` is a steady clock. `mutex`, `condition` and `thread` are used as std::mutex,
/// std::condition_variable and std::thread are. `connections` connect one member of an epoch to all
/// others, as those of connections.hpp do.
template <class P>
concept platform = requires(std::chrono::nanoseconds pause) {
  typename P::mutex;
  typename P::condition;
  typename P::thread;
  typename P::connections;
  { P::now() } -> std::same_as<std::chrono::steady_clock::time_point>;
  P::sleep(pause);
};

}  // namespace shunt::detail
