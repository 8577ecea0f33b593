#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A schedule for a job, and its programs.
struct planned_iteration {
  pipeline_job job{};
  pipeline_schedule schedule{};
  ticks period = 0;  ///< time from one iteration to the next, as planned
  std::int64_t parts =
      1;  ///< of a tick, in which job and schedule count; more where ranks are slow
  std::shared_ptr<program const> iteration{};
  /// Validates the last step of a run. Null where steps aren't validated.
  std::shared_ptr<program const> closing{};

  /// The job's times were such parts of a tick: so is the period.
  void count_in(std::int64_t parts_of_a_tick) {
    parts = parts_of_a_tick;
    period = ceil_divide(period, parts);
  }
};

/// The form of an iteration's program.
enum class iteration_form : std::uint8_t {
  plain,
  validated,    ///< steps are validated (lower/step_validation.hpp)
  salvageable,  ///< gradients survive a loss of ranks (lower/salvage.hpp)
};

/// Checks and lowers a schedule of a job. `how`: of validated steps. `shadows`: by rank, further
/// stages whose state the rank keeps (lower/shadows.hpp). Empty: no rank does.
/// Throws invalid_problem where job, tensors or shadows are broken, or shadows come with another
/// form than `plain`; and invalid_program where the schedule breaks a rule of the job.
[[nodiscard]] planned_iteration planned(pipeline_job const& job, pipeline_schedule schedule,
                                        pipeline_tensors const& tensors,
                                        iteration_form form = iteration_form::plain,
                                        rollback how = rollback::kept_state,
                                        held_stages const& shadows = {});

/// Checks and lowers a schedule with redundant forwards, for ranks that keep the states of
/// `shadows`. The period counts redundant forwards.
/// Throws invalid_problem where job, tensors or shadows are broken, and invalid_program where the
/// schedule breaks a rule of the job or of redundant forwards.
[[nodiscard]] planned_iteration planned(pipeline_job const& job, redundant_schedule schedule,
                                        pipeline_tensors const& tensors,
                                        held_stages const& shadows);

/// Returns a plan whose programs are for the ranks of a run of `ranks`: rank i of its job is rank
/// `numbers[i]` there. Other ranks have empty lists.
/// Throws invalid_program as `renumbered` does.
[[nodiscard]] planned_iteration renumbered(planned_iteration plan, std::span<rank_id const> numbers,
                                           std::int32_t ranks);

/// Plans, checks and lowers an iteration.
/// Throws invalid_problem, with the solver's reason, where there is no plan; and as above.
template <class Solver>
[[nodiscard]] planned_iteration plan_iteration(Solver const& solver, pipeline_job const& job,
                                               pipeline_tensors const& tensors,
                                               iteration_form form = iteration_form::plain,
                                               rollback how = rollback::kept_state) {
  auto answer = solver(job);
  if (!answer.has_plan()) throw invalid_problem("plan", answer.reason);
  return planned(job, std::move(answer.plan), tensors, form, how);
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/planned_iteration.ipp"
#endif
