#pragma once
/// Checks a pipeline schedule against its job. Shares no code with solvers or measures.
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Checks these rules of a schedule, in this order:
///
///  * Every (pipeline, micro-batch, stage) has exactly one forward, and either one fused backward
///    or one backward_input and one backward_weight. They stand in this order on one live rank that
///    holds the stage, because that rank holds the stash.
///  * Every live rank steps each stage that it holds once, after all operations of that stage in
///    its list. The list of a dead rank is empty.
///  * An overlapped pair is a forward next to a backward or backward_input of another micro-batch.
///    The inputs of both are there when the pair starts.
///  * No rank stashes more than its cap. The forward of a pair counts before its backward.
///  * The lists of all ranks can be executed together, with steps and the operations that they wait
///    for.
///
/// Returns all broken rules. A rule that depends on broken ones reports only violations that it can
/// decide. Empty: the schedule is a plan of the job.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(operations + ranks + micro-batches at stages).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_violation> check(
    pipeline_job const& job, pipeline_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/pipeline.ipp"
#endif
