#pragma once
#include <algorithm>
#include <chrono>
#include <utility>

#include "shunt/gloo/detail/host_platform.hpp"

namespace shunt::detail {

/// How long a process has waited that looks now and then. Time in which it stood still (stopped, or
/// paused with its whole machine) is not its waiting: from one look to the next counts a tenth of a
/// second at most.
template <platform Platform = host_platform>
class waiting_time {
 public:
  using clock = std::chrono::steady_clock;

  /// Looks at the clock.
  /// Returns the time since the construction.
  [[nodiscard]] clock::duration passed() {
    auto const now = Platform::now();
    passed_ += std::min<clock::duration>(now - std::exchange(looked_, now), longest_step);
    return passed_;
  }

 private:
  static constexpr std::chrono::milliseconds longest_step{100};

  clock::time_point looked_ = Platform::now();
  clock::duration passed_{};
};

}  // namespace shunt::detail
