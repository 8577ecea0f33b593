#pragma once
/// Costs of stages from measured seconds.
#include <vector>

#include "shunt/core/units.hpp"
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

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/measured_costs.ipp"
#endif
