#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

/// The status of a solver's plan.
enum class status : std::uint8_t {
  optimal,     ///< the objective equals a proved lower bound
  feasible,    ///< a valid plan; objective - lower_bound is the gap
  infeasible,  ///< the problem is sound but has no plan; `reason` says why
  /// a budget ran out; `reason` says which, and the solver whether `plan` is valid
  limit_reached,
};

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(status s);

/// A plan, its objective and a lower bound. Both numbers are in the unit of the plan's measure
/// (ticks of a period, largest over mean load). Lower is better. Integers up to 2^53 are exact.
template <class Plan>
struct solution {
  using plan_type = Plan;

  Plan plan{};
  shunt::status status = shunt::status::feasible;
  double objective = 0;
  double lower_bound = 0;
  text reason{};  ///< empty unless infeasible or limit_reached

  [[nodiscard]] constexpr bool has_plan() const {
    return status == shunt::status::optimal || status == shunt::status::feasible;
  }
  bool operator==(solution const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/solution.ipp"
#endif
