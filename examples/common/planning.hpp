#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace example {

/// A schedule that was found for a job, and what is needed to run it and to talk about it.
struct planned {
  shunt::pipeline_job job{};
  shunt::pipeline_schedule schedule{};
  shunt::ticks period = 0;
  std::shared_ptr<shunt::program const> program{};
  std::shared_ptr<shunt::program const>
      closing{};  ///< validates the last step of a run; nothing where steps aren't validated
};

/// Plans, checks and lowers an iteration, with steps that are validated or gradients that survive a
/// loss if asked for. Throws invalid_problem, with the solver's reason, where there is no plan.
template <class Solver>
[[nodiscard]] planned plan_iteration(Solver const& solver, shunt::pipeline_job const& job,
                                     shunt::pipeline_tensors const& tensors, bool validate = false,
                                     bool salvage = false) {
  auto answer = solver(job);
  if (!answer.has_plan()) throw shunt::invalid_problem("plan", answer.reason);
  if (auto const broken = shunt::check(job, answer.plan); !broken.empty())
    throw std::logic_error("the plan breaks a rule: " + shunt::to_string(broken.front()));
  auto program = salvage ? shunt::lower_salvageable(job, answer.plan, {}, tensors)
                         : shunt::lower(job, answer.plan, tensors);
  auto const period = shunt::period(job, answer.plan);
  std::shared_ptr<shunt::program const> closing;
  if (validate) {
    auto both =
        shunt::validated(program, answer.plan.staggered_step ? shunt::validation::in_next_iteration
                                                             : shunt::validation::before_step);
    program = std::move(both.iteration);
    closing = std::make_shared<shunt::program const>(std::move(both.closing));
  }
  return {job, std::move(answer.plan), period,
          std::make_shared<shunt::program const>(std::move(program)), std::move(closing)};
}

}  // namespace example
