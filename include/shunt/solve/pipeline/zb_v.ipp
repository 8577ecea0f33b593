#pragma once
#include "shunt/solve/pipeline/zb_v.hpp"

#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

SHUNT_INLINE solution<pipeline_schedule> zb_v::operator()(pipeline_job const& job) const {
  validate(job);
  require_layout(job, name, stage_layout::shape::wave, 2);
  using r = detail::recipe;
  std::vector<r> known{{},
                       {r::equal_costs, r::way_thrice, r::two_later, r::unlimited, 1},
                       {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2},
                       {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 2},
                       {r::light_weights, r::half_block_back, r::with_input, r::unlimited, 1}};
  if (stagger) known[1] = {r::equal_costs, r::way_thrice, r::half_later, r::unlimited, 2};
  return detail::planned_within(stash_peak(job.stages / 2), job, stagger, effort, known);
}

}  // namespace shunt
