#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/text.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// How much a plan must have.
enum class extent : std::uint8_t {
  /// Every operation of every micro-batch, and the steps; a slot for every expert of every layer.
  whole,
  /// Any operations, each behind its forward in the same list; any experts, -1 in an empty slot.
  part,
};

/// Returns the first reason why a schedule is not one of a job: lists that aren't one per rank; an
/// operation that the job doesn't have, that stands twice, in the list of a dead rank or of one
/// that doesn't hold its stage, without its forward before it in the list, or after the step of its
/// stage; a pair outside of its list, or of other operations than a forward and a backward or
/// backward_input of two micro-batches; and, of a whole iteration, what is missing.
/// Returns an empty text where there is none. Ranks may still wait for each other.
/// Requires a valid job. Complexity: O(operations + workers x micro-batches).
[[nodiscard]] SHUNT_CONSTEXPR text mismatch(pipeline_job const& job,
                                            pipeline_schedule const& schedule,
                                            extent wanted = extent::whole);

/// Returns the first reason why a timetable is not one of a schedule: its lists aren't one per rank
/// or have another length. Returns an empty text where there is none.
[[nodiscard]] SHUNT_CONSTEXPR text mismatch(pipeline_schedule const& schedule,
                                            timetable const& table);

/// Returns the first reason why a placement is not one of these layers: another number of layers,
/// experts, ranks or slots of a rank, an unknown expert, and, of a whole one, an expert without a
/// slot. Returns an empty text where there is none. Groups may be spread.
/// Requires valid layers. Complexity: O(layers x (slots + experts)).
[[nodiscard]] SHUNT_CONSTEXPR text mismatch(expert_layers const& problem,
                                            expert_placement const& placement,
                                            extent wanted = extent::whole);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/mismatch.ipp"
#endif
