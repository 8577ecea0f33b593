#pragma once
#include <cstdint>

#include "shunt/plan/pipeline_template.hpp"
#include "shunt/problem/template_problem.hpp"

namespace shunt::detail {

/// Returns a template of as many nodes as `start` whose 1F1B of `microbatches` ends as early as any
/// that the search looks at, `start` among them; `time` is that makespan. It looks at the least
/// sum of latencies without a bound on the slowest stage, then with a bound just below the slowest
/// stage of the answer before, and so on: sum + (microbatches - 1) x slowest is least for one of
/// these, and about what 1F1B takes.
/// Requires a valid problem, a power of two as `gpus`, and at most as many nodes as layers.
/// Complexity: O(L^3 log G + n L^2) for each bound, at most L^2 log G bounds, usually few.
[[nodiscard]] pipeline_template fastest_template(template_problem const& problem,
                                                 pipeline_template start,
                                                 std::int64_t microbatches);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/fastest_template.ipp"
#endif
