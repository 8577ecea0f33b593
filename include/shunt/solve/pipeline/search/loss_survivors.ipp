#pragma once
#include "shunt/solve/pipeline/search/loss_survivors.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

SHUNT_INLINE held_states::held_states(std::int32_t ranks, std::int32_t stages)
    : stages_(stages),
      has_(static_cast<std::size_t>(ranks) * static_cast<std::size_t>(stages), 0) {}

SHUNT_INLINE loss_survivors::loss_survivors(worker_losses const& of)
    : losses(of), held(of.job.ranks() + of.spares, of.job.stages), costs(of) {
  auto const& job = of.job;
  std::vector<char> dead(static_cast<std::size_t>(job.ranks()), 0);
  for (worker const& w : job.dead) dead[job.rank_of(w).index()] = 1;
  for (rank_id const r : ids<rank_id>(job.ranks() + of.spares))
    if (r.value() >= job.ranks() || !dead[r.index()]) live.push_back(r);
  for (pipeline_id const p : ids<pipeline_id>(job.pipelines))
    for (stage_id const s : ids<stage_id>(job.stages))
      if (rank_id const r = job.rank_of({p, s}); !dead[r.index()]) held.add(r, s);
  if (job.memory.rule == stash_cap::kind::per_worker) least_cap = job.memory.limit;
  if (job.memory.rule == stash_cap::kind::per_rank)
    for (rank_id const r : live)
      if (r.value() < job.ranks())
        least_cap = std::min(least_cap.value_or(*job.stash_limit(r)), *job.stash_limit(r));
}

SHUNT_INLINE transfer_times loss_survivors::links_of(std::vector<rank_id> const& members) const {
  auto const& links = losses.job.transfer;
  if (links.alike()) return links.within_node;
  std::vector<ticks> all;
  for (rank_id const from : members)
    for (rank_id const to : members) all.push_back(links(from, to));
  return {static_cast<std::int32_t>(members.size()), std::move(all)};
}

SHUNT_INLINE stash_cap loss_survivors::caps_of(std::vector<rank_id> const& members) const {
  auto const& job = losses.job;
  if (job.memory.rule != stash_cap::kind::per_rank) return job.memory;
  std::vector<std::int64_t> limits;
  for (rank_id const r : members)
    limits.push_back(r.value() < job.ranks() ? *job.stash_limit(r) : *least_cap);
  return stash_cap::per_rank(std::move(limits));
}

SHUNT_INLINE stage_costs loss_survivors::costs_of(std::vector<rank_id> const& workers,
                                                  merged_borders const& borders) const {
  auto made = losses.job.costs;
  if (!costs.by_rank()) {
    for (auto list : {&stage_costs::forward, &stage_costs::backward_input,
                      &stage_costs::backward_weight, &stage_costs::step})
      made.*list = summed(made.*list, borders);
    return made;
  }
  std::array<std::vector<ticks>, 4> all;
  auto const columns = borders.size() - 1;
  for (std::size_t w = 0; w < workers.size(); ++w) {
    auto const k = w % columns;
    for (auto& list : all) list.push_back(0);
    for (auto s = borders[k]; s < borders[k + 1]; ++s) {
      auto const& c = costs.on(workers[w], s);
      all[0].back() += c.forward;
      all[1].back() += c.backward_input;
      all[2].back() += c.backward_weight;
      all[3].back() += c.step;
    }
  }
  made.forward = per_stage(std::move(all[0]));
  made.backward_input = per_stage(std::move(all[1]));
  made.backward_weight = per_stage(std::move(all[2]));
  made.step = per_stage(std::move(all[3]));
  return made;
}

SHUNT_INLINE held_states loss_survivors::held_under(loss_plan const& plan) const {
  held_states after(losses.job.ranks() + losses.spares, losses.job.stages);
  for (pipeline_id const p : ids<pipeline_id>(plan.job.pipelines))
    for (stage_id const s : ids<stage_id>(losses.job.stages))
      after.add(plan.members[plan.job.rank_of({p, s}).index()], s);
  return after;
}

}  // namespace shunt::detail
