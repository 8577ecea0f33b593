#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// What one rank has run in a session, list after list, each in list order; so only times need to
/// be kept: 16 bytes an instruction.
class run_log {
 public:
  [[nodiscard]] progress done() const { return done_; }
  [[nodiscard]] std::size_t size() const { return times_.size(); }

  /// Makes room for one more list.
  void expect(std::size_t instructions);
  void instruction_ended(ticks start, ticks end);
  /// The next instruction's condition left it out.
  void instruction_left_out() { instruction_ended(left_out, left_out); }
  void list_ended() { done_ = {done_.programs + 1, 0}; }

  /// Appends the rank's events; `programs` are the session's, in order.
  void append_to(std::vector<event>& events, rank_id r,
                 std::span<std::shared_ptr<program const> const> programs) const;

 private:
  static constexpr ticks left_out = -1;  // in place of both times

  struct times {
    ticks start, end;
  };
  std::vector<times> times_{};
  progress done_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/run_log.ipp"
#endif
