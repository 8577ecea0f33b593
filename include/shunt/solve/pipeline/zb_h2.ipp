#pragma once
#include "shunt/solve/pipeline/zb_h2.hpp"

#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int64_t zb_h2::stash_peak(std::int64_t ranks) { return 2 * ranks - 1; }

SHUNT_INLINE solution<pipeline_schedule> zb_h2::operator()(pipeline_job const& job) const {
  validate(job);
  require_layout(job, name, stage_layout::shape::linear, 1);
  using r = detail::recipe;
  return detail::planned_within(stash_peak(job.stages), job, stagger, effort,
                                {{},
                                 {r::true_costs, r::inputs, r::last, r::fill, 1},
                                 {r::true_costs, r::inputs, r::last, r::fill_more, 1}});
}

}  // namespace shunt
