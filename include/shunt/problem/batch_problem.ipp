#pragma once
#include "shunt/problem/batch_problem.hpp"

#include <cmath>
#include <cstddef>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE void validate(batch_problem const& problem) {
  if (problem.batch < 1 || problem.batch > (std::int64_t{1} << 24))
    throw invalid_problem("batch",
                          "must be between 1 and 2^24, is " + std::to_string(problem.batch));
  if (problem.templates.empty()) throw invalid_problem("templates", "there is none");
  for (std::size_t k = 0; k < problem.templates.size(); ++k) {
    auto const& used = problem.templates[k];
    auto const name = "templates[" + std::to_string(k) + "]";
    auto const positive = [&](double time) { return std::isfinite(time) && time > 0; };
    if (used.count < 1)
      throw invalid_problem(name + ".count",
                            "must be at least 1, is " + std::to_string(used.count));
    if (!positive(used.time)) throw invalid_problem(name + ".time", "must be above 0 and finite");
    if (used.stages.empty()) throw invalid_problem(name + ".stages", "there is none");
    for (auto const& s : used.stages)
      if (!positive(s.forward) || !positive(s.backward))
        throw invalid_problem(name + ".stages", "have a time that isn't above 0 and finite");
  }
}

}  // namespace shunt
