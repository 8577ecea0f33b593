#pragma once
/// Checks how a shadow goes on for a lost worker. Shares no code with solvers or measures.
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// One error in a takeover.
struct takeover_violation {
  enum class kind : std::uint8_t {
    fatal,       ///< no shadow has the stage of a dead worker, `of_worker`: there is no takeover
    lost,        ///< not the worker that was lost last
    shadow,      ///< not its shadow
    job,         ///< the following iterations are those of another job
    layout,      ///< a worker, `of_worker`, on another rank than its own or its shadow's
    following,   ///< an error of the following iterations' schedule: `of`
    reused,      ///< a forward that the shadow can't have made, or twice
    surplus,     ///< an operation that needn't be done, or stands twice
    missing,     ///< an operation that remains to be done
    step_early,  ///< a step before an operation of its stage
    waits,       ///< an operation that can never start
  };
  kind what{};
  worker of_worker{};
  operation op{};
  pipeline_violation of{};

  bool operator==(takeover_violation const&) const = default;
};

/// Returns one line that names the place and the error.
[[nodiscard]] std::string to_string(takeover_violation const& v);

/// Checks a takeover of the worker lost last, in a lockstep (`lockstep_of`) before which all
/// operations of earlier ones are done, of 1F1B with redundant forwards or, after earlier losses,
/// without:
///
///  * The following iterations are those of the job, each stage of a dead worker is on its shadow,
///    which lives, and the schedule is a plan of them.
///  * What is reused and resumed together has each forward and backward of the lost worker, and all
///    that remains of the shadow's own, once, and both steps behind.
///  * In this order, and with what remains of the others, it can be executed.
///
/// Returns all errors. Empty: the plan is valid.
/// Throws invalid_problem where the job is broken or has no dead worker.
[[nodiscard]] std::vector<takeover_violation> check(pipeline_job const& job, std::int64_t lockstep,
                                                    shadow_takeover const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/shadow_takeover.ipp"
#endif
