#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One instruction as measured or predicted. A receive or collective starts when its rank begins to
/// wait for it.
struct event {
  rank_id rank{};
  std::int32_t iteration = 0;    ///< counted from the session's first
  std::int32_t instruction = 0;  ///< index in the rank's list
  opcode code = opcode::compute;
  operation op{};  ///< of a compute
  ticks start = 0;
  ticks end = 0;
  bool operator==(event const&) const = default;
};

/// Returns the name in traces and profiles: "forward 1:3" for micro-batch 3 of pipeline 1, "step",
/// "all_reduce".
[[nodiscard]] std::string name_of(opcode code, operation const& op);

/// Events of a run, measured or predicted, rank by rank and in starting order within a rank. An
/// instruction that its condition skipped has no event.
struct timeline {
  std::vector<event> events{};
  double seconds_per_tick = 0;  ///< 1e-9 where a clock measured; 0 where the clock was virtual
  bool operator==(timeline const&) const = default;
};

/// Progress of a rank: programs completed, then instructions completed of the next program.
struct progress {
  std::int32_t programs = 0;
  std::int32_t instructions = 0;
  bool operator==(progress const&) const = default;
  auto operator<=>(progress const&) const = default;
};

/// The result of a session. Without a loss every rank has completed every submitted program.
struct outcome {
  shunt::timeline timeline{};
  std::vector<rank_id> lost{};  ///< failed ranks, ascending
  indexed<rank_id, progress> done{};
  bool operator==(outcome const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/program/timeline.ipp"
#endif
