#pragma once
#include <stop_token>

#include "shunt/solve/solver.hpp"

namespace shunt {

/// Meets solver_for and can be stopped: `s(problem, stop)` returns the best plan found so far once
/// a stop was requested.
template <class S, class Problem>
concept anytime_solver_for =
    solver_for<S, Problem> && requires(S const& s, Problem const& p, std::stop_token stop) {
      { s(p, stop) } -> any_solution;
    };

}  // namespace shunt
