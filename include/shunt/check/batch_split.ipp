#pragma once
#include "shunt/check/batch_split.hpp"

#include <cstddef>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_INLINE std::string to_string(batch_violation const& v) {
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  auto const place = "template " + std::to_string(v.index);
  switch (v.what) {
    case batch_violation::kind::templates: return "templates" + counts;
    case batch_violation::kind::pipelines: return place + ", pipelines" + counts;
    case batch_violation::kind::too_few: return place + ", micro-batches" + counts;
    case batch_violation::kind::sum: return "all micro-batches" + counts;
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<batch_violation> check(batch_problem const& problem,
                                                batch_split const& plan) {
  using kind = batch_violation::kind;
  std::vector<batch_violation> found;
  if (plan.microbatches.size() != problem.templates.size())
    return {{kind::templates, 0, std::ssize(plan.microbatches), std::ssize(problem.templates)}};
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < plan.microbatches.size(); ++k) {
    auto const& each = plan.microbatches[k];
    auto const index = static_cast<std::int64_t>(k);
    if (std::ssize(each) != problem.templates[k].count)
      found.push_back({kind::pipelines, index, std::ssize(each), problem.templates[k].count});
    for (auto const n : each) {
      if (n < 1) found.push_back({kind::too_few, index, n, 1});
      sum = checked_add(sum, n).value_or(-1);
    }
  }
  if (sum != problem.batch) found.push_back({kind::sum, 0, sum, problem.batch});
  return found;
}

}  // namespace shunt
