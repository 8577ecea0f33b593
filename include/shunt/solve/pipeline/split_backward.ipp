#pragma once
#include "shunt/solve/pipeline/split_backward.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> split_backward::operator()(
    pipeline_job const& job, pipeline_schedule schedule) const {
  validate(job);
  if (detail::is_foreign(job, schedule)) return evaluated(job, std::move(schedule));
  indexed<rank_id, detail::operation_streams> streams(static_cast<std::size_t>(job.ranks()));
  for (rank_id r : ids<rank_id>(job.ranks())) {
    std::vector<operation> urgent, weights;
    for (operation o : schedule.order[r]) {
      if (o.kind == op_kind::step) continue;
      if (o.kind == op_kind::backward || o.kind == op_kind::backward_weight)
        weights.push_back({op_kind::backward_weight, o.pipeline, o.stage, o.microbatch});
      if (o.kind == op_kind::backward) o.kind = op_kind::backward_input;
      if (o.kind != op_kind::backward_weight) urgent.push_back(o);
    }
    streams[r] = {std::move(urgent), std::move(weights)};
  }
  auto merged = detail::merge_streams(job, streams);
  auto before = evaluated(job, std::move(schedule));
  if (!merged.complete) return before;
  merged.schedule.staggered_step = before.plan.staggered_step;
  auto after = evaluated(job, std::move(merged.schedule));
  bool const better =
      after.has_plan() && (!before.has_plan() || after.objective < before.objective);
  return better ? after : before;
}

}  // namespace shunt
