#pragma once
#include "shunt/solve/pipeline/v_min.hpp"

#include <algorithm>

#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int64_t v_min::stash_peak(std::int64_t ranks) {
  return 2 * (ranks / 3 + (ranks % 3 == 2 ? 2 : 1));
}

SHUNT_CONSTEXPR ticks v_min::bubble(std::int64_t ranks) {
  return std::max(ranks - 1, 4 * ranks - 5 - (ranks % 3 == 0 ? 2 : ranks % 3 == 2 ? 4 : 0));
}

SHUNT_INLINE solution<pipeline_schedule> v_min::operator()(pipeline_job const& job) const {
  validate(job);
  require_layout(job, name, stage_layout::shape::wave, 2);
  using r = detail::recipe;
  auto const first = job.stages / 2 % 3 == 1 ? r::shortest_block : r::late_turn_block;
  auto const second = first == r::shortest_block ? r::late_turn_block : r::shortest_block;
  return detail::planned_within(
      stash_peak(job.stages / 2), job, stagger, effort,
      {{r::equal_costs, first, r::last, r::by_block, 4, r::until_weight},
       {r::equal_costs, second, r::last, r::by_block, 4, r::until_weight}});
}

}  // namespace shunt
