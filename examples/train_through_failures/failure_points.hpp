#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace example {

/// Where each kill strikes (those of one worker, where it is named): in the middle of the worker's
/// list under the plan that its iteration begins with, or as asked.
template <class Run>
[[nodiscard]] std::vector<shunt::failure_point> failures_of(
    options const& o, Run& run, std::optional<shunt::rank_id> only = {}) {
  auto const& job = o.training.job;
  std::vector<shunt::failure_point> all;
  for (auto const& k : o.kills) {
    if (only && *only != job.rank_of(k.who)) continue;
    std::vector<shunt::rank_id> dead;
    for (auto const w : dead_in(o, k.iteration, false)) dead.push_back(job.rank_of(w));
    std::sort(dead.begin(), dead.end());
    auto const length = static_cast<std::int32_t>(
        run.plan_without(dead).iteration->ranks[job.rank_of(k.who)].instructions.size());
    if (o.kill_at.value_or(0) > length)
      throw shunt::invalid_problem(
          "kill-at", "worker " + shunt::describe(k.who) + " has " + std::to_string(length) +
                         " instructions in iteration " + std::to_string(k.iteration));
    all.push_back({job.rank_of(k.who), k.iteration, o.kill_at.value_or(length / 2)});
  }
  return all;
}

}  // namespace example
