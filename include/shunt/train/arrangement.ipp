#pragma once
#include "shunt/train/arrangement.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/shadows.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

SHUNT_INLINE arrangement starting_arrangement(pipeline_job job) {
  job.dead.clear();
  arrangement all{.job = std::move(job), .members = {}};
  for (rank_id const r : ids<rank_id>(all.job.ranks())) all.members.push_back(r);
  return all;
}

SHUNT_INLINE arrangement arranged(pipeline_job job, worker_ranks const& workers,
                                  std::vector<std::int32_t> microbatches) {
  arrangement all;
  std::map<rank_id, rank_id> numbers;
  std::vector<rank_id> layout;
  for (auto const& pipeline : workers) {
    if (pipeline.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem("workers", "a pipeline has " + std::to_string(pipeline.size()) +
                                           " for " + std::to_string(job.stages) + " stages");
    for (rank_id const r : pipeline) {
      if (r < 0 || r.value() >= job.ranks())
        throw invalid_problem("workers", "rank " + to_string(r) + " is not one of the run");
      auto const [at, added] = numbers.emplace(r, rank_id(all.members.size()));
      if (added) all.members.push_back(r);
      layout.push_back(at->second);
    }
  }
  if (job.memory.rule == stash_cap::kind::per_rank) {
    std::vector<std::int64_t> limits;
    for (rank_id const r : all.members) limits.push_back(job.memory.limits[r.index()]);
    job.memory = stash_cap::per_rank(std::move(limits));
  }
  job.dead.clear();
  job.pipelines = static_cast<std::int32_t>(workers.size());
  job.microbatches = per_pipeline(std::move(microbatches));
  job.layout = all.members.size() == layout.size() ? stage_layout::linear()
                                                   : stage_layout::custom(std::move(layout));
  validate(job);
  all.job = std::move(job);
  return all;
}

SHUNT_INLINE void validate(arrangement const& a, pipeline_job const& start,
                           std::span<rank_id const> dead) {
  validate(a.job);
  if (a.members.size() != static_cast<std::size_t>(a.job.ranks()))
    throw invalid_problem("members", "has " + std::to_string(a.members.size()) + " for " +
                                         std::to_string(a.job.ranks()) + " ranks");
  std::set<rank_id> known;
  for (rank_id const r : a.members)
    if (r < 0 || r.value() >= start.ranks() || !known.insert(r).second ||
        std::binary_search(dead.begin(), dead.end(), r))
      throw invalid_problem("members",
                            "rank " + to_string(r) + " is dead, not one of the run or named twice");
  if (a.job.stages != start.stages || a.job.total_microbatches() != start.total_microbatches())
    throw invalid_problem("job", "has " + std::to_string(a.job.stages) + " stages and " +
                                     std::to_string(a.job.total_microbatches()) +
                                     " micro-batches, not " + std::to_string(start.stages) +
                                     " and " + std::to_string(start.total_microbatches()));
  if (!a.shadows.empty()) validate_shadows(a.job, a.shadows);
}

SHUNT_INLINE bool has_lost(arrangement const& a, std::span<rank_id const> dead) {
  return std::any_of(a.members.begin(), a.members.end(),
                     [&](rank_id r) { return std::binary_search(dead.begin(), dead.end(), r); });
}

SHUNT_INLINE worker_ranks workers_of(arrangement const& a) {
  worker_ranks all(static_cast<std::size_t>(a.job.pipelines));
  for (pipeline_id const p : ids<pipeline_id>(a.job.pipelines))
    for (stage_id const s : ids<stage_id>(a.job.stages))
      all[p.index()].push_back(a.members[a.job.rank_of({p, s}).index()]);
  return all;
}

SHUNT_INLINE held_stages stages_held(arrangement const& a, std::int32_t ranks,
                                     std::span<rank_id const> without) {
  held_stages all(static_cast<std::size_t>(ranks));
  for (rank_id const r : ids<rank_id>(a.members.size()))
    if (auto const member = a.members[r.index()];
        std::find(without.begin(), without.end(), member) == without.end()) {
      auto& own = all[member.index()] = a.job.stages_of(r);
      if (a.shadows.empty()) continue;
      auto const& shadowed = a.shadows[r.index()];
      own.insert(own.end(), shadowed.begin(), shadowed.end());
      std::sort(own.begin(), own.end());
    }
  return all;
}

SHUNT_INLINE std::optional<stage_id> stage_without_holder(held_stages const& held,
                                                          std::int32_t stages) {
  for (stage_id const s : ids<stage_id>(stages))
    if (std::none_of(held.begin(), held.end(), [&](auto const& own) {
          return std::find(own.begin(), own.end(), s) != own.end();
        }))
      return s;
  return std::nullopt;
}

SHUNT_INLINE std::vector<rank_id> waiting_ranks(held_stages const& held,
                                                std::span<rank_id const> dead) {
  std::vector<rank_id> waiting;
  for (rank_id const r : ids<rank_id>(held.size()))
    if (held[r.index()].empty() && !std::binary_search(dead.begin(), dead.end(), r))
      waiting.push_back(r);
  return waiting;
}

SHUNT_INLINE rearrangement change_between(arrangement next, held_stages const& after,
                                          std::span<layer_copy const> copies,
                                          per_stage const& state, std::span<rank_id const> dead) {
  rearrangement change{.dead = {dead.begin(), dead.end()}, .next = std::move(next)};
  for (layer_copy const& c : copies) {
    change.copies += std::ssize(c.to);
    change.bytes += state[c.layer.value()] * std::ssize(c.to);
  }
  change.waiting = waiting_ranks(after, dead);
  return change;
}

}  // namespace shunt
