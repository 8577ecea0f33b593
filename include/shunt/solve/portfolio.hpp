#pragma once
/// Runs several solvers on one problem and returns the best of their plans with the best of their
/// bounds.
#include <algorithm>
#include <cstddef>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shunt/core/solution.hpp"
#include "shunt/solve/anytime.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Runs the parts in order until one has a plan that is proved optimal.
///
///     solve(job, portfolio(slipstream{} | improve_order{}, branch_and_bound{}))
///
/// The least objective wins, ties go to the earlier part. The lower bound is the largest that a
/// part with a plan has proved, so that the bound of one part may prove the plan of another
/// optimal. A part adds its plan without its bound if `bounds_every_plan(problem)` is false, or if
/// its plan has another kind of step (staggered or not) than the best. If no part has a plan, the
/// answer is that of the first part. A stop is passed to the parts that accept one and keeps later
/// parts from starting; the first part always runs.
/// Throws what its parts throw.
template <named First, named... Others>
class portfolio {
 public:
  static constexpr std::string_view name = "portfolio";

  constexpr portfolio() = default;
  constexpr explicit portfolio(First first, Others... others)
      : parts_(std::move(first), std::move(others)...) {}

  template <class Problem>
    requires(solver_for<First, Problem> && ... && solver_for<Others, Problem>)
  [[nodiscard]] constexpr auto operator()(Problem const& problem) const {
    return best(problem, [&](auto const& part) { return part(problem); }, [] { return false; });
  }

  /// Stops with the best answer so far when `stop` is requested.
  template <class Problem>
    requires(solver_for<First, Problem> && ... && solver_for<Others, Problem>)
  [[nodiscard]] auto operator()(Problem const& problem, std::stop_token stop) const {
    auto const run = [&](auto const& part) {
      if constexpr (anytime_solver_for<std::remove_cvref_t<decltype(part)>, Problem>)
        return part(problem, stop);
      else
        return part(problem);
    };
    return best(problem, run, [&] { return stop.stop_requested(); });
  }

 private:
  template <class Problem, class Run, class Stopped>
  [[nodiscard]] constexpr auto best(Problem const& problem, Run const& run,
                                    Stopped const& stopped) const {
    auto const answer_of = [&](auto const& part) {
      auto own = run(part);
      if constexpr (requires { part.bounds_every_plan(problem); })
        if (own.has_plan() && !part.bounds_every_plan(problem)) {
          own.lower_bound = 0;
          own.status = status::feasible;
        }
      return own;
    };
    auto answer = answer_of(std::get<0>(parts_));
    static_assert(
        (std::is_same_v<decltype(answer), decltype(answer_of(std::declval<Others const&>()))> &&
         ...),
        "the parts make different plans");
    auto const join = [&](auto const& part) {
      if (answer.status == status::optimal || stopped()) return;
      auto other = answer_of(part);
      if (!other.has_plan()) return;
      bool const wins = !answer.has_plan() || other.objective < answer.objective;
      auto const bound = wins ? answer.lower_bound : other.lower_bound;
      bool const both = answer.has_plan() && same_kind(answer.plan, other.plan);
      if (wins) answer = std::move(other);
      if (both) answer.lower_bound = std::max(answer.lower_bound, bound);
      if (answer.objective == answer.lower_bound) answer.status = status::optimal;
    };
    std::apply([&](First const&, Others const&... others) { (join(others), ...); }, parts_);
    return answer;
  }

  template <class Plan>
  [[nodiscard]] static constexpr bool same_kind(Plan const& a, Plan const& b) {
    if constexpr (requires { a.staggered_step; })
      return a.staggered_step == b.staggered_step;
    else
      return true;
  }

  std::tuple<First, Others...> parts_{};
};

}  // namespace shunt
