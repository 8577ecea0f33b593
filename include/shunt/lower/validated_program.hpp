#pragma once
#include <cstdint>

#include "shunt/program/program.hpp"

namespace shunt {

/// When a step is validated.
enum class validation : std::uint8_t {
  before_step,        ///< everybody waits for the verdict
  in_next_iteration,  ///< staggered steps
};

/// How a step that doesn't stand is taken back.
enum class rollback : std::uint8_t {
  kept_state,  ///< the kept state is copied back: the same bits
  /// `step_again` takes the step back itself before it repeats it, by the inverse of the
  /// optimizer's formulas: no second pass over the state, but not the same bits. The kept state
  /// stays, for lost workers.
  inverse,
};

/// Iterations that validate the one before, and what validates the last.
struct validated_program {
  program iteration{};
  program closing{};  ///< ends a run; does nothing more where it runs twice, or where steps were
                      ///< validated before
  constexpr bool operator==(validated_program const&) const = default;
};

}  // namespace shunt
