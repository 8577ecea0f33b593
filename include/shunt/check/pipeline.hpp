#pragma once
/// Is a pipeline schedule a plan of the job?
///
/// Every (pipeline, micro-batch, stage) has exactly one forward and either one fused backward, or
/// one backward_input and one backward_weight. All of them stand on one live rank that holds the
/// stage, in this order, for that rank holds the stash. Every live rank steps each stage it holds
/// once, after all operations of that stage in its list; the list of a dead rank is empty.
/// Overlapped pairs are a forward next to a backward or backward_input of another micro-batch; what
/// either needs is there when both start. No rank stashes more than its cap, the forward of a pair
/// counted before its backward. The orders of all ranks together can be executed, steps and the
/// operations that they wait for included. All broken rules are reported, in a fixed order; a rule
/// that builds on broken ones speaks only of what it can judge. Linear in the number of operations,
/// ranks and micro-batches at stages. Shares no code with solvers or measures.
/// Throws invalid_problem where the job itself is broken.
#include <vector>

#include "shunt/check/detail/schedule_judge.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Every rule that the schedule breaks; empty: it is a plan of the job.
[[nodiscard]] constexpr std::vector<pipeline_violation> check(pipeline_job const& job,
                                                              pipeline_schedule const& schedule) {
  validate(job);
  return detail::schedule_judge(job, schedule).verdict();
}

}  // namespace shunt
