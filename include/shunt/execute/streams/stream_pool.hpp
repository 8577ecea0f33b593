#pragma once
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/execute/stream_system.hpp"

namespace shunt::detail {

/// Events and host memory of a session, which are reused: both are slow to make.
template <stream_system System>
class stream_pool {
 public:
  using event = typename System::event;
  using memory = typename System::memory;

  explicit stream_pool(System& system) : system_(system) {}

  /// Returns an event that has a time.
  [[nodiscard]] event take_event() {
    if (events_.empty()) return system_.make_timed_event();
    event e = std::move(events_.back());
    events_.pop_back();
    return e;
  }
  void give(event e) { events_.push_back(std::move(e)); }

  /// Returns host memory of so many bytes that a device can copy to.
  [[nodiscard]] memory take_words(std::size_t size) {
    auto const at = std::find_if(words_.begin(), words_.end(),
                                 [&](auto& m) { return m.bytes().size() == size; });
    if (at == words_.end()) return system_.make_host_memory(size);
    memory taken = std::move(*at);
    words_.erase(at);
    return taken;
  }
  void give(memory m) { words_.push_back(std::move(m)); }

 private:
  System& system_;
  std::vector<event> events_{};
  std::vector<memory> words_{};
};

}  // namespace shunt::detail
