#pragma once
#include "shunt/measure/stage_groups.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

SHUNT_CONSTEXPR stage_groups::stage_groups(pipeline_job const& job)
    : of(static_cast<std::size_t>(job.ranks()), -1) {
  std::vector<char> dead(static_cast<std::size_t>(job.ranks()), 0);
  for (worker const& w : job.dead) dead[job.rank_of(w).index()] = 1;
  indexed<rank_id, std::vector<stage_id>> held(static_cast<std::size_t>(job.ranks()));
  for (stage_id s : ids<stage_id>(job.stages))
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      auto& stages = held[job.rank_of({p, s})];
      if (stages.empty() || stages.back() != s) stages.push_back(s);
    }
  // stage groups by their first stage
  std::vector<std::vector<std::int32_t>> starting_with(static_cast<std::size_t>(job.stages));
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto& known = starting_with[held[r].front().index()];
    auto const same = std::find_if(known.begin(), known.end(), [&](std::int32_t c) {
      return all[static_cast<std::size_t>(c)].stages == held[r];
    });
    if (same != known.end()) {
      of[r] = *same;
    } else {
      of[r] = static_cast<std::int32_t>(all.size());
      known.push_back(of[r]);
      all.emplace_back();
      all.back().stages = held[r];
    }
    if (!dead[r.index()]) all[static_cast<std::size_t>(of[r])].live.push_back(r);
  }
}

SHUNT_CONSTEXPR std::vector<ticks> longest_steps(pipeline_job const& job, stage_groups const& in) {
  std::vector<ticks> longest(in.all.size(), 0);
  bool const by_worker = job.costs.step.size() > static_cast<std::size_t>(job.stages);
  for (std::size_t c = 0; c < longest.size(); ++c) {
    auto const& [stages, live] = in.all[c];
    if (!by_worker || live.empty())
      for (stage_id s : stages) longest[c] += job.costs.step[s];
    if (!by_worker) continue;
    for (rank_id r : live) {
      ticks sum = 0;
      for (stage_id s : stages) sum += job.cost_on(job.costs.step, r, s);
      longest[c] = std::max(longest[c], sum);
    }
  }
  return longest;
}

SHUNT_CONSTEXPR void append_steps(stage_groups const& in, pipeline_schedule& plan) {
  for (stage_group const& c : in.all)
    for (rank_id r : c.live)
      for (stage_id s : c.stages) plan.order[r].push_back({.kind = op_kind::step, .stage = s});
}

}  // namespace shunt
