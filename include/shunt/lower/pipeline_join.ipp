#pragma once
#include "shunt/lower/pipeline_join.hpp"

#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {

SHUNT_CONSTEXPR program lower_join(pipeline_job const& job, std::vector<worker> const& joining,
                                   pipeline_tensors const& tensors) {
  validate(job);
  validate(job, tensors);
  program_builder builder(job.ranks());
  auto const of = [&](rank_id r, stage_id s) {
    for (stage_regions const& held : stages_of(job, tensors, r))
      if (held.stage == s) return held;
    return stage_regions{job, tensors, s};
  };
  auto const declare = [&](rank_id r, stage_regions const& held) {
    builder.buffer(r, held.state().buffer, held.state().size, true);
    builder.buffer(r, held.kept().buffer, held.kept().size, true);
  };
  for (worker const& w : joining) {
    rank_id const to = job.rank_of(w);
    for (stage_id const s : job.stages_of(to)) {
      auto const refuse = [&](char const* why) {
        throw invalid_problem("joining", "worker " + std::to_string(w.pipeline.value()) + ":" +
                                             std::to_string(w.stage.value()) + why);
      };
      if (job.alive(to)) refuse(" isn't dead");
      auto const holders = job.live_holders(s);
      if (holders.empty()) refuse(" has no live peer to take the state from");
      auto const source = of(holders.front(), s), target = of(to, s);
      declare(holders.front(), source);
      declare(to, target);
      builder.message(holders.front(), source.state(), to, target.state());
    }
  }
  return std::move(builder).finish();
}

}  // namespace shunt
