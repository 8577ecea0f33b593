#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "shunt/core/error.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// For solvers made for one layout. Throws invalid_problem, naming `layout`, where a job has
/// another one, or other than `chunks` stages of a pipeline on a rank (0: any number). With one
/// chunk, linear, looped and wave layouts are the same.
constexpr void require_layout(pipeline_job const& job, std::string_view solver,
                              stage_layout::shape wanted, std::int32_t chunks = 0) {
  using shape = stage_layout::shape;
  auto const there = job.layout.form();
  auto const straight = [](shape form) {
    return form == shape::linear || form == shape::looped || form == shape::wave;
  };
  bool const same =
      there == wanted || (job.layout.chunks() == 1 && straight(there) && straight(wanted));
  if (same && (chunks == 0 || job.layout.chunks() == chunks)) return;
  std::string const count = chunks == 0 ? "" : " with " + std::to_string(chunks) + " chunks a rank";
  throw invalid_problem("layout", "is " + std::string(to_string(there)) + "(" +
                                      std::to_string(job.layout.chunks()) + "), " +
                                      std::string(solver) + " is for " +
                                      std::string(to_string(wanted)) + " layouts" + count);
}

/// For solvers that fold the pipeline in the middle. Throws invalid_problem, naming `stages`, where
/// their number is odd.
constexpr void require_even_stages(pipeline_job const& job, std::string_view solver) {
  if (job.stages % 2 != 0)
    throw invalid_problem("stages", "must be even for " + std::string(solver) + ", is " +
                                        std::to_string(job.stages));
}

}  // namespace shunt
