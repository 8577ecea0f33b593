#pragma once
/// Checks redundant forwards of a pipeline schedule. Shares no code with solvers or measures.
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// One error in a redundant schedule or its times.
struct redundancy_violation {
  enum class kind : std::uint8_t {
    plain,    ///< an error of the schedule, or of its times, without redundant forwards: `of`
    lists,    ///< redundant forwards, or their times, aren't one list a rank
    unknown,  ///< not a forward of the job
    of_first_stage,  ///< of stage 0, whose shadow waits for no gradient
    not_shadow,      ///< on another rank than the shadow's, or on the worker's own
    place,  ///< before an index that the list doesn't have, or that is below the last one's
    before_its_input,  ///< not behind the forward of the stage before on its rank
    repeated,          ///< computed twice
    missing,           ///< computed nowhere
    duration,          ///< takes another time than a forward of its stage
    overlap,           ///< starts before the operation before it ends
    late,              ///< ends after the operation behind it starts
  };
  kind what{};
  rank_id rank{};
  std::int32_t index = -1;  ///< in the rank's redundant forwards; -1: in none
  operation forward{};
  pipeline_violation of{};

  bool operator==(redundancy_violation const&) const = default;
};

/// Returns one line that names the place and the error.
[[nodiscard]] std::string to_string(redundancy_violation const& v);

/// Checks that the schedule without redundant forwards is a plan of the job, and that the forward
/// of each micro-batch at each stage but the first is computed once more, by the shadow of its
/// worker, where its input is there.
/// Returns all errors. Empty: the plan is valid.
/// Throws invalid_problem where the job is broken.
[[nodiscard]] std::vector<redundancy_violation> check(pipeline_job const& job,
                                                      redundant_schedule const& schedule);

/// Checks a redundant schedule and then its times: those of the schedule without redundant
/// forwards, and that each of these takes its time between its neighbours in the list.
/// Returns all errors of the schedule or, where there is none, those of the times.
/// Throws invalid_problem where the job is broken.
[[nodiscard]] std::vector<redundancy_violation> check(pipeline_job const& job,
                                                      redundant_schedule const& schedule,
                                                      redundant_timetable const& table);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/redundancy.ipp"
#endif
