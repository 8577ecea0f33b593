#pragma once
/// Re-join of workers: all live ranks that hold a stage have the same state of it between
/// iterations, so the lowest one sends it. Only `state` travels; the next iteration makes the rest.
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns the program that sends each joining rank the state of its stages. Run it between two
/// iterations. `job` is the job without the joining ranks: they are among its dead. `joining` names
/// one worker of each.
/// Throws invalid_problem where job or tensors are broken, a joining rank isn't dead, or one of its
/// stages has no live rank.
/// Reference: SlipStream (arXiv 2405.14009), re-join.
[[nodiscard]] SHUNT_CONSTEXPR program lower_join(pipeline_job const& job,
                                                 std::vector<worker> const& joining,
                                                 pipeline_tensors const& tensors = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pipeline_join.ipp"
#endif
