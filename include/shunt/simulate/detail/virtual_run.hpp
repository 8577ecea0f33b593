#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/simulate/detail/lanes.hpp"

namespace shunt::detail {

/// A program, prepared once for all its submissions. Refuses those whose ranks would wait forever.
struct prepared_program {
  explicit prepared_program(std::shared_ptr<program const> p);
  std::shared_ptr<program const> what;
  dependencies d;
  lanes order;
};

/// One submission of a program in virtual time. Its tables are made when its first rank begins.
/// Tables by number are indexed by instruction, numbered as in `dependencies`.
struct virtual_run {
  static constexpr ticks not_yet = -1;
  static constexpr ticks left_out = -2;  ///< as an end: the condition left the instruction out

  std::shared_ptr<prepared_program const> made_of{};
  /// By number. The end of a receive that has not started is the arrival of its message.
  std::vector<ticks> start{}, end{};
  /// By number, where a rank has several lanes: how many ends an instruction still waits for, and
  /// the latest of them so far.
  std::vector<std::int32_t> waits{};
  std::vector<ticks> ready{};
  std::vector<std::int32_t> missing{};       ///< by collective: members that have not arrived
  std::vector<buffered_message> messages{};  ///< by number of the receive
  std::int32_t ranks_done = 0;
  ticks ended_at = 0;
  bool begun = false;

  /// Makes the tables.
  void begin(bool with_messages);

  /// Returns the members of a collective that have not arrived.
  [[nodiscard]] std::vector<rank_id> missing_members(dependencies::collective_match const& m) const;
};

/// A rank in virtual time.
struct virtual_rank {
  std::int32_t programs = 0;       ///< completed
  std::int32_t remaining = 0;      ///< instructions of the current one that have not ended
  ticks free_at = 0;               ///< the latest end so far
  std::int32_t fails_before = -1;  ///< instruction of the current program before which it fails
  bool silent = false;
  ticks silent_at = 0;
};

/// Appends the events of a rank. Instructions that still waited at `stop_at` have not happened.
/// Returns how far the rank came.
[[nodiscard]] progress report(rank_id r, virtual_rank const& s,
                              std::vector<virtual_run> const& runs, ticks stop_at,
                              std::vector<event>& events);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/simulate/detail/virtual_run.ipp"
#endif
