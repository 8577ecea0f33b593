#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// What one rank has run in a session, list after list, each in list order. So only times are kept:
/// 16 bytes an instruction.
class run_log {
 public:
  [[nodiscard]] progress done() const { return done_; }
  [[nodiscard]] std::size_t size() const { return times_.size(); }

  /// Makes room for one more list.
  void expect(std::size_t instructions) {
    if (auto const all = times_.size() + instructions; all > times_.capacity())
      times_.reserve(std::max(all, 2 * times_.capacity()));
  }
  void instruction_ended(ticks start, ticks end) {
    times_.push_back({start, end});
    ++done_.instructions;
  }
  /// The condition of the next instruction left it out.
  void instruction_left_out() { instruction_ended(left_out, left_out); }
  void list_ended() { done_ = {done_.programs + 1, 0}; }

  /// Appends the rank's events in list order. `programs` are the session's, in order.
  void append_to(std::vector<event>& events, rank_id r,
                 std::span<std::shared_ptr<program const> const> programs) const {
    std::size_t at = 0;
    for (std::int32_t n = 0; at < times_.size(); ++n) {
      auto const& list = programs[static_cast<std::size_t>(n)]->ranks[r].instructions;
      auto const count = std::min(list.size(), times_.size() - at);
      for (std::size_t i = 0; i < count; ++i, ++at)
        if (times_[at].end != left_out)
          events.push_back({r, n, static_cast<std::int32_t>(i), list[i].code, list[i].op,
                            times_[at].start, times_[at].end});
    }
  }
  /// Appends the rank's events in order of start, then iteration, then instruction.
  void append_by_start(std::vector<event>& events, rank_id r,
                       std::span<std::shared_ptr<program const> const> programs) const {
    auto const first = static_cast<std::ptrdiff_t>(events.size());
    append_to(events, r, programs);
    std::sort(events.begin() + first, events.end(), [](event const& a, event const& b) {
      return std::tie(a.start, a.iteration, a.instruction) <
             std::tie(b.start, b.iteration, b.instruction);
    });
  }

 private:
  static constexpr ticks left_out = -1;  // in place of both times

  struct times {
    ticks start, end;
  };
  std::vector<times> times_{};
  progress done_{};
};

}  // namespace shunt::detail
