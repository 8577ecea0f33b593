#pragma once
#include "shunt/problem/stage_runs.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR indexed<rank_id, stage_run> runs_of(pipeline_job const& job) {
  indexed<rank_id, stage_run> runs(static_cast<std::size_t>(job.ranks()));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
    std::int32_t place = -1;
    for (stage_id s : ids<stage_id>(job.stages)) {
      rank_id const r = job.rank_of({p, s});
      auto& own = runs[r];
      if (s > 0 && job.rank_of({p, s.value() - 1}) == r) {
        own.last = s;
        continue;
      }
      if (own.ranks > 0) return {};  // it has a run already
      own = {.pipeline = p, .first = s, .last = s, .place = ++place, .ranks = 1};
    }
    for (stage_id s : ids<stage_id>(job.stages)) runs[job.rank_of({p, s})].ranks = place + 1;
  }
  return runs;
}

}  // namespace shunt
