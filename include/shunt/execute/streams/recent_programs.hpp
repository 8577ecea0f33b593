#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/streams/stream_program.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// A program that was bound once, and how often it ran.
template <stream_system System>
struct cached_program {
  explicit cached_program(std::shared_ptr<program const> p) : bound(std::move(p)) {}
  stream_program<System> bound;
  std::vector<typename System::event> stamps{};  // of a graph, which has its own
  std::int32_t runs = 0, collected = 0;
};

/// The programs that a session ran last, ready to run again.
template <stream_system System>
class recent_programs {
 public:
  /// Returns a program ready to run: one of the last eight, or prepared now.
  /// Throws invalid_program where it has a deadlock.
  [[nodiscard]] std::shared_ptr<cached_program<System>> ready(
      std::shared_ptr<program const> const& p) {
    auto const at = std::find_if(known_.begin(), known_.end(),
                                 [&](auto const& q) { return q->bound.handle() == p; });
    if (at != known_.end()) return *at;
    if (known_.size() == most) known_.pop_front();
    known_.push_back(std::make_shared<cached_program<System>>(p));
    return known_.back();
  }

 private:
  static constexpr std::size_t most = 8;

  std::deque<std::shared_ptr<cached_program<System>>> known_{};
};

}  // namespace shunt::detail
