#pragma once
#include "shunt/solve/pipeline/reroute.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> reroute::operator()(pipeline_job const& job,
                                                                pipeline_schedule schedule) const {
  validate(job);
  bool const in_proportion = job.uneven() && rule != routing::round_robin;
  if ((job.dead.empty() && !in_proportion) || stage_without_worker(job) ||
      detail::is_foreign(job, schedule))
    return evaluated(job, std::move(schedule));
  detail::routes const to(job, rule);
  std::vector<char> dead(static_cast<std::size_t>(job.ranks()), 0);
  for (worker const& w : job.dead) dead[job.rank_of(w).index()] = true;
  indexed<rank_id, detail::operation_streams> streams(static_cast<std::size_t>(job.ranks()));
  std::vector<std::vector<operation>> parts(static_cast<std::size_t>(job.ranks()));  // by host
  std::vector<rank_id> used;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    used.clear();
    for (operation const& o : schedule.order[r]) {
      if (o.kind == op_kind::step) continue;
      rank_id const host = dead[r.index()] || in_proportion
                               ? job.rank_of({to.host(o.pipeline, o.stage, o.microbatch), o.stage})
                               : r;
      if (parts[host.index()].empty()) used.push_back(host);
      parts[host.index()].push_back(o);
    }
    for (rank_id const host : used) streams[host].push_back(std::exchange(parts[host.index()], {}));
  }
  if (auto merged = detail::merge_streams(job, streams); merged.complete) {
    merged.schedule.staggered_step = schedule.staggered_step;
    return evaluated(job, std::move(merged.schedule));
  }
  auto answer = evaluated(job, std::move(schedule));
  answer.reason = "the orders of re-routed and own micro-batches don't fit under the stash cap";
  return answer;
}

}  // namespace shunt
