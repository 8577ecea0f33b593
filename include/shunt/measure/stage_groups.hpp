#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// A stage group: ranks that hold the same stages. They reduce their gradients with each other and
/// so end an iteration together. Linear layout: one group per stage. Looped layouts and waves: the
/// ranks at one place of their pipelines. Bidirectional layout: the ranks at two places equally far
/// from either end.
struct stage_group {
  std::vector<stage_id> stages{};  ///< ascending
  std::vector<rank_id> live{};     ///< ascending, may be empty
  constexpr bool operator==(stage_group const&) const = default;
};

/// The stage groups of a job in the order of their lowest ranks, and the group of every rank, dead
/// ranks included.
struct stage_groups {
  std::vector<stage_group> all{};
  indexed<rank_id, std::int32_t> of{};

  constexpr explicit stage_groups(pipeline_job const& job)
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
};

/// Appends the steps of its stages to the list of every live rank.
constexpr void append_steps(stage_groups const& in, pipeline_schedule& plan) {
  for (stage_group const& c : in.all)
    for (rank_id r : c.live)
      for (stage_id s : c.stages) plan.order[r].push_back({.kind = op_kind::step, .stage = s});
}

}  // namespace shunt
