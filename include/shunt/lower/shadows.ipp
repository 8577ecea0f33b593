#pragma once
#include "shunt/lower/shadows.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR program lower_with_shadows(pipeline_job const& job,
                                           pipeline_schedule const& schedule,
                                           held_stages const& shadows,
                                           pipeline_tensors const& tensors,
                                           message_layout const& layout) {
  validate(job);
  validate(job, tensors);
  validate_shadows(job, shadows);
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw invalid_program(wrong);
  if (schedule.staggered_step) throw invalid_program("shadows can't stagger their steps");
  return detail::pipeline_lowering(job, schedule, tensors, layout, nullptr, &shadows).lowered();
}

SHUNT_CONSTEXPR void validate_shadows(pipeline_job const& job, held_stages const& shadows) {
  if (shadows.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_problem("shadows", "has " + std::to_string(shadows.size()) + " ranks, not " +
                                         std::to_string(job.ranks()));
  for (rank_id const r : ids<rank_id>(job.ranks())) {
    auto const& own = shadows[r.index()];
    if (own.empty()) continue;
    auto const of_rank = "shadows of rank " + std::to_string(r.value());
    if (!job.alive(r)) throw invalid_problem(of_rank, "must be empty: the rank is dead");
    auto const computed = job.stages_of(r);
    for (std::size_t i = 0; i < own.size(); ++i) {
      auto const stage = "stage " + std::to_string(own[i].value());
      if (own[i] < 0 || own[i].value() >= job.stages)
        throw invalid_problem(of_rank, stage + " is none of " + std::to_string(job.stages));
      if (i > 0 && own[i] <= own[i - 1]) throw invalid_problem(of_rank, "stages must ascend");
      if (std::find(computed.begin(), computed.end(), own[i]) != computed.end())
        throw invalid_problem(of_rank, stage + " is its own");
    }
  }
}

}  // namespace shunt
