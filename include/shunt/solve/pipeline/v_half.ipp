#pragma once
#include "shunt/solve/pipeline/v_half.hpp"

#include <algorithm>

#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks v_half::bubble(std::int64_t ranks) {
  return std::max(ranks - 1, 3 * ranks - 7 + ranks % 2);
}

SHUNT_INLINE solution<pipeline_schedule> v_half::operator()(pipeline_job const& job) const {
  validate(job);
  require_layout(job, name, stage_layout::shape::wave, 2);
  using r = detail::recipe;
  return detail::planned_within(
      stash_peak(job.stages / 2), job, stagger, effort,
      {{r::light_weights, r::way_thrice, r::one_later, r::over_one_and_half, 3, r::until_weight},
       {r::light_weights, r::way_thrice, r::with_input, r::fit_half, 3, r::until_weight},
       {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 3, r::until_weight}});
}

}  // namespace shunt
