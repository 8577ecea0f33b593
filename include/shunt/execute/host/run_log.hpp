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
  void expect(std::size_t instructions);
  void instruction_ended(ticks start, ticks end);
  /// The condition of the next instruction left it out.
  void instruction_left_out() { instruction_ended(left_out, left_out); }
  /// The same of instructions behind one that did not end before the rank was stopped: they do not
  /// count as progress. Other lanes may have been ahead.
  void instruction_ended_ahead(ticks start, ticks end);
  void instruction_not_reached() { instruction_ended_ahead(left_out, left_out); }
  void list_ended() { done_ = {done_.programs + 1, 0}; }

  /// Appends the rank's events in list order. `programs` are the session's, in order.
  void append_to(std::vector<event>& events, rank_id r,
                 std::span<std::shared_ptr<program const> const> programs) const;
  /// Appends the rank's events in order of start, then iteration, then instruction.
  void append_by_start(std::vector<event>& events, rank_id r,
                       std::span<std::shared_ptr<program const> const> programs) const;

 private:
  static constexpr ticks left_out = -1;  // in place of both times

  struct times {
    ticks start, end;
  };
  std::vector<times> times_;
  progress done_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/run_log.ipp"
#endif
