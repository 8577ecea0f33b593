#pragma once
#include "shunt/solve/pipeline/improve_order.hpp"

#include <cstddef>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/order_search.hpp"

namespace shunt {

SHUNT_INLINE solution<pipeline_schedule> improve_order::operator()(
    pipeline_job const& job, pipeline_schedule schedule) const {
  validate(job);
  auto before = evaluated(job, std::move(schedule));
  if (before.status != status::feasible) return before;
  auto after = evaluated(job, improved(job, before.plan, static_cast<ticks>(before.lower_bound)));
  return after.has_plan() && after.objective <= before.objective ? after : before;
}

SHUNT_INLINE pipeline_schedule improve_order::improved(pipeline_job const& job,
                                                       pipeline_schedule const& plan,
                                                       ticks bound) const {
  if (job.pipelines > 1 && detail::pipelines_are_equal(job)) {
    auto const ranks = static_cast<std::size_t>(job.ranks() / job.pipelines);
    auto first = plan;
    first.order.resize(ranks);
    if (!first.overlapped.empty()) first.overlapped.resize(ranks);
    if (detail::copied_to_all(job, first) == plan)
      return detail::copied_to_all(job, improved(detail::first_pipeline(job), first, bound));
  }
  return detail::order_search(job, plan, reroute, effort).best(bound);
}

}  // namespace shunt
