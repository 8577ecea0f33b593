#pragma once
/// Costs of stages from measured seconds and from measured slow-downs.
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

/// Returns seconds / seconds_per_tick, rounded to the nearest whole number (halves up), and at
/// least `least`.
/// Throws invalid_problem, which names `seconds` or `seconds_per_tick`, where a number is not
/// finite, the seconds are negative, a tick has no length, or the ticks exceed 61 bits.
[[nodiscard]] ticks ticks_from_seconds(double seconds, double seconds_per_tick, ticks least = 0);

/// Returns costs in ticks of `seconds_per_tick`, each rounded like ticks_from_seconds. `forward`
/// and `backward_input` are at least 1 tick. Each list has one value for all stages, or one per
/// stage. A tick of a hundredth of the shortest operation keeps each rounding within half a
/// percent. Throws invalid_problem like ticks_from_seconds, which names the list and the position.
[[nodiscard]] stage_costs costs_from_seconds(std::vector<double> const& forward,
                                             std::vector<double> const& backward_input,
                                             std::vector<double> const& backward_weight,
                                             std::vector<double> const& step,
                                             double seconds_per_tick);

/// Returns the costs of a job with the rank of a worker slower by `factor`: forwards and both parts
/// of backwards at all its stages take so many times as long, rounded to the nearest tick. Steps
/// stay as they are.
/// Requires a valid job.
/// Throws invalid_problem, which names `slow`, where the worker doesn't exist or is dead, the
/// factor is below 1 or not finite, the ticks exceed 61 bits, or are too coarse: rounding would
/// hide the slow-down.
[[nodiscard]] stage_costs slowed(pipeline_job const& job, worker slow, double factor);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/measured_costs.ipp"
#endif
