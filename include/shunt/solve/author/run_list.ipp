#pragma once
#include "shunt/solve/author/run_list.hpp"

#include <algorithm>

namespace shunt {

SHUNT_CONSTEXPR run_list::run_list(pipeline_job const& job, stage_run const& run, std::size_t kinds,
                                   std::vector<operation>& list)
    : job_(job), run_(run), list_(list) {
  auto const length = static_cast<std::size_t>(run.last.value() - run.first.value() + 1);
  list.reserve(length * (kinds * static_cast<std::size_t>(job.microbatches[run.pipeline]) + 1));
}

SHUNT_CONSTEXPR std::int32_t run_list::most_in_flight(std::int32_t wanted) const {
  auto const cap = job_.stash_limit(job_.rank_of({run_.pipeline, run_.first}));
  if (!cap) return wanted;
  std::int64_t a_microbatch = 0;
  for (stage_id s = run_.first; s <= run_.last; ++s) a_microbatch += job_.stash.forward[s];
  return static_cast<std::int32_t>(std::min<std::int64_t>(wanted, *cap / a_microbatch));
}

SHUNT_CONSTEXPR void run_list::add(op_kind kind, microbatch_id m) {
  if (kind == op_kind::forward)
    for (stage_id s = run_.first; s <= run_.last; ++s) list_.push_back({kind, run_.pipeline, s, m});
  else
    for (stage_id s = run_.last; s >= run_.first; --s) list_.push_back({kind, run_.pipeline, s, m});
}

SHUNT_CONSTEXPR void run_list::add_steps() {
  for (stage_id s = run_.first; s <= run_.last; ++s)
    list_.push_back({.kind = op_kind::step, .stage = s});
}

}  // namespace shunt
