#pragma once
#include "shunt/solve/pipeline/branch_and_bound.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/exact_period.hpp"

namespace shunt {

SHUNT_INLINE bool branch_and_bound::bounds_every_plan(pipeline_job const& job) const {
  auto const all = ids<stage_id>(job.stages);
  return split && std::all_of(all.begin(), all.end(),
                              [&](stage_id s) { return job.live_holders(s).size() <= 1; });
}

SHUNT_INLINE solution<pipeline_schedule> branch_and_bound::operator()(
    pipeline_job const& job) const {
  return (*this)(job, std::stop_token{});
}

SHUNT_INLINE solution<pipeline_schedule> branch_and_bound::operator()(pipeline_job const& job,
                                                                      std::stop_token stop) const {
  validate(job);
  if (job.pipelines > 1 && detail::pipelines_are_equal(job)) {
    auto one = (*this)(detail::first_pipeline(job), std::move(stop));
    one.plan = detail::copied_to_all(job, one.plan);
    return one;
  }
  if (stage_without_worker(job)) return evaluated(job, empty_schedule(job));
  solution<pipeline_schedule> answer{.status = status::limit_reached,
                                     .lower_bound = static_cast<double>(period_bound(job, stagger)),
                                     .reason = "too few nodes"};
  auto const general = answer.lower_bound;
  detail::exact_period exact(job, split, stagger, rule, most_nodes, std::move(stop));
  using search_result = detail::exact_period::search_result;
  auto const any = exact.possible(exact.whole());
  if (any == search_result::impossible) {
    answer.status = status::infeasible;
    answer.reason = "no order fits under the stash cap";
  }
  if (any != search_result::found) return answer;
  answer = improve_order{.reroute = false, .effort = 100'000}(job, exact.plan());
  auto low = split ? period_bound(job, stagger) : fused_period_bound(job, stagger),
       high = static_cast<ticks>(answer.objective);
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    auto const is = exact.possible(middle);
    if (is == search_result::limit) break;
    if (is == search_result::impossible) {
      low = middle + 1;
    } else {
      answer.plan = exact.plan();
      high = period(job, answer.plan);
    }
  }
  answer.objective = static_cast<double>(high);
  answer.lower_bound = covers(job) ? static_cast<double>(low) : general;
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

SHUNT_INLINE bool branch_and_bound::covers(pipeline_job const& job) const {
  stage_groups const in(job);
  auto const& all = in.all;
  auto const steps = longest_steps(job, in);
  // a step waits for all ranks of its stage, which the search doesn't know of other groups
  std::vector<std::int32_t> groups(static_cast<std::size_t>(job.stages), 0);
  for (stage_group const& c : all)
    for (stage_id s : c.stages) groups[s.index()] += !c.live.empty();
  return job.costs.overlap_gain == 0 &&
         (!stagger || (std::all_of(groups.begin(), groups.end(), [](auto n) { return n <= 1; }) &&
                       std::none_of(all.begin(), all.end(), [&](stage_group const& c) {
                         return c.stages.size() > 1 &&
                                steps[static_cast<std::size_t>(&c - all.data())] > 0;
                       })));
}

}  // namespace shunt
