#pragma once
#include <cstdint>

#include "shunt/program/program.hpp"

namespace shunt {

/// The moment at which a step is validated.
enum class validation : std::uint8_t {
  before_step,        ///< every worker waits for the norms of all stages
  in_next_iteration,  ///< for staggered steps
};

/// The way in which a step is rolled back.
enum class rollback : std::uint8_t {
  kept_state,  ///< the kept state is copied back: the same bits
  /// `redo_step` reverts the step by the inverse of the optimizer's formulas before it repeats it.
  /// That saves a pass over the state but changes bits. The kept state stays, for lost workers.
  inverse,
};

/// Iterations that validate the previous one, and a program that validates the last.
struct validated_program {
  program iteration{};
  /// Ends a run. It does nothing where it runs twice, or where steps were validated before.
  program closing{};
  bool operator==(validated_program const&) const = default;
};

}  // namespace shunt
