#pragma once
#include "shunt/lower/shadows.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void validate_for_shadows(pipeline_job const& job,
                                          pipeline_schedule const& schedule,
                                          held_stages const& shadows,
                                          pipeline_tensors const& tensors) {
  validate(job);
  validate(job, tensors);
  validate_shadows(job, shadows);
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw invalid_program(wrong);
  if (schedule.staggered_step) throw invalid_program("shadows can't stagger their steps");
}

// Throws invalid_program where redundant forwards aren't of the job and of stages that their ranks
// shadow.
SHUNT_CONSTEXPR void validate_redundant(pipeline_job const& job, redundant_schedule const& schedule,
                                        held_stages const& shadows) {
  if (schedule.redundant.size() != shadows.size())
    throw invalid_program("the schedule has " + std::to_string(schedule.redundant.size()) +
                          " lists of redundant forwards for " + std::to_string(shadows.size()) +
                          " ranks");
  for (rank_id const r : ids<rank_id>(shadows.size()))
    for (auto const& [o, before] : schedule.redundant[r]) {
      auto const refuse = [&, &forward = o](char const* why) {
        throw invalid_program("rank " + std::to_string(r.value()) + ", redundant " +
                              std::string(describe(forward)) + ": " + why);
      };
      auto const& own = shadows[r.index()];
      if (o.kind != op_kind::forward || o.pipeline < 0 || o.pipeline >= job.pipelines ||
          o.microbatch < 0 || o.microbatch >= job.microbatches[o.pipeline])
        refuse("the job has no such forward");
      if (o.stage < 1) refuse("a first stage has no input");
      if (std::find(own.begin(), own.end(), o.stage) == own.end())
        refuse("the rank doesn't shadow the stage");
      if (before < 0 || before > std::ssize(schedule.plain.order[r]))
        refuse("no place in the list");
    }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR program lower_with_shadows(pipeline_job const& job,
                                           pipeline_schedule const& schedule,
                                           held_stages const& shadows,
                                           pipeline_tensors const& tensors,
                                           message_layout const& layout) {
  detail::validate_for_shadows(job, schedule, shadows, tensors);
  return detail::pipeline_lowering(job, schedule, tensors, layout, nullptr, &shadows).lowered();
}

SHUNT_CONSTEXPR program lower_with_shadows(pipeline_job const& job,
                                           redundant_schedule const& schedule,
                                           held_stages const& shadows,
                                           pipeline_tensors const& tensors,
                                           message_layout const& layout) {
  detail::validate_for_shadows(job, schedule.plain, shadows, tensors);
  detail::validate_redundant(job, schedule, shadows);
  return detail::pipeline_lowering(job, schedule.plain, tensors, layout, nullptr, &shadows,
                                   &schedule.redundant)
      .lowered();
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
