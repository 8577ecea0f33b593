#pragma once
/// The concepts of solvers, transforms and improvers, and their composition: `solver | transform`
/// is a solver. anytime.hpp has the concept of solvers that can be stopped.
#include <algorithm>
#include <array>
#include <concepts>
#include <string_view>
#include <utility>

#include "shunt/core/solution.hpp"

namespace shunt {

/// Has a name, that of its paper.
template <class S>
concept named = requires {
  { S::name } -> std::convertible_to<std::string_view>;
};

/// Is a solution<Plan> of some Plan.
template <class A>
concept any_solution =
    requires { typename A::plan_type; } && std::same_as<A, solution<typename A::plan_type>>;

/// The plan type that S returns for a Problem.
template <class S, class Problem>
using plan_of =
    typename decltype(std::declval<S const&>()(std::declval<Problem const&>()))::plan_type;

/// Finds a plan: `s(problem)`. Pure: the same problem and configuration give the same answer on any
/// platform. That no plan exists is a status of the answer.
/// Throws invalid_problem if the problem is broken.
template <class S, class Problem>
concept solver_for = named<S> && requires(S const& s, Problem const& p) {
  { s(p) } -> any_solution;
};

/// Turns any plan, valid or not, into another one and evaluates its status anew: `t(problem,
/// plan)`.
template <class T, class Problem, class Plan>
concept transform_for = named<T> && requires(T const& t, Problem const& p, Plan const& plan) {
  { t(p, plan) } -> std::same_as<solution<Plan>>;
};

/// A transform that takes a valid plan and never makes its objective worse. `I::improves` states
/// the promise.
template <class I, class Problem, class Plan>
concept improver_for = transform_for<I, Problem, Plan> && requires { requires I::improves; };

/// A solver followed by a transform or an improver: again a solver. An improver is skipped if the
/// solver found no valid plan; a transform always runs.
/// Throws what its parts throw.
template <named First, named Then>
struct composed {
  First first{};
  Then then{};

  template <class Problem>
    requires solver_for<First, Problem> && transform_for<Then, Problem, plan_of<First, Problem>>
  [[nodiscard]] constexpr auto operator()(Problem const& problem) const {
    auto answer = first(problem);
    if constexpr (improver_for<Then, Problem, plan_of<First, Problem>>)
      if (!answer.has_plan()) return answer;
    return then(problem, answer.plan);
  }

 private:
  static constexpr auto joined_ = [] {
    std::string_view const a = First::name, b = Then::name;
    std::array<char, std::string_view(First::name).size() + 3 + std::string_view(Then::name).size()>
        text{};
    auto end = std::copy(a.begin(), a.end(), text.begin());
    for (char const c : {' ', '|', ' '}) *end++ = c;
    std::copy(b.begin(), b.end(), end);
    return text;
  }();

 public:
  static constexpr std::string_view name{joined_.data(), joined_.size()};  ///< "first | then"
};

/// Returns the solver `first | then`.
template <named First, named Then>
[[nodiscard]] constexpr composed<First, Then> operator|(First first, Then then) {
  return {std::move(first), std::move(then)};
}

/// Solves a problem; compiles only if the solver accepts it.
/// Throws what the solver throws.
template <class Problem, solver_for<Problem> Solver>
[[nodiscard]] constexpr auto solve(Problem const& problem, Solver const& solver) {
  return solver(problem);
}

}  // namespace shunt
