#pragma once
#include <concepts>
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/solver.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// What a training_policy is but for its schedules.
template <class R>
concept arrangement_rule = requires(R const& r, situation const& s) {
  { r.name } -> std::convertible_to<std::string_view>;
  { r.every } -> std::convertible_to<std::int64_t>;
  { r(s) } -> std::same_as<solution<arrangement>>;
};

/// The policy of a rule for arrangements and a solver of their jobs.
template <arrangement_rule Rule, solver_for<pipeline_job> Solver = one_f_one_b>
struct planned_policy : Rule {
  Solver solver{};

  [[nodiscard]] solution<pipeline_schedule> schedule(pipeline_job const& job) const {
    return solver(job);
  }
};

}  // namespace shunt
