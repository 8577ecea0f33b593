#pragma once
#include "shunt/problem/pipeline_losses.hpp"

#include <cstddef>
#include <set>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE void validate(pipeline_losses const& losses) {
  if (losses.minimum < 1)
    throw invalid_problem("minimum", "must be at least 1, is " + std::to_string(losses.minimum));
  if (losses.ranks_per_node < 0)
    throw invalid_problem("ranks_per_node",
                          "must be at least 0, is " + std::to_string(losses.ranks_per_node));
  if (losses.pipelines.empty()) throw invalid_problem("pipelines", "there is none");
  std::set<rank_id> known, gone;
  for (std::size_t p = 0; p < losses.pipelines.size(); ++p) {
    auto const name = "pipelines[" + std::to_string(p) + "]";
    if (losses.pipelines[p].empty()) throw invalid_problem(name, "has no rank");
    for (std::size_t i = 0; i < losses.pipelines[p].size(); ++i) {
      auto const r = losses.pipelines[p][i];
      auto const place = name + "[" + std::to_string(i) + "]";
      if (r < 0) throw invalid_problem(place, "must be at least 0, is " + to_string(r));
      if (!known.insert(r).second)
        throw invalid_problem(place, "names rank " + to_string(r) + " for the second time");
    }
  }
  for (std::size_t i = 0; i < losses.lost.size(); ++i) {
    auto const r = losses.lost[i];
    auto const place = "lost[" + std::to_string(i) + "]";
    if (!known.contains(r))
      throw invalid_problem(place, "is rank " + to_string(r) + ", which is in no pipeline");
    if (!gone.insert(r).second)
      throw invalid_problem(place, "names rank " + to_string(r) + " for the second time");
  }
}

}  // namespace shunt
