#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

inline pipeline_job job_of(std::int32_t pipelines, std::int32_t stages, std::int32_t microbatches,
                           std::vector<worker> dead = {}) {
  return {.pipelines = pipelines,
          .stages = stages,
          .microbatches = microbatches,
          .dead = std::move(dead)};
}

/// A job whose step takes 3 ticks.
inline pipeline_job stepping_job_of(std::int32_t pipelines, std::int32_t stages,
                                    std::int32_t microbatches) {
  auto job = job_of(pipelines, stages, microbatches);
  job.costs.step = 3;
  return job;
}

inline std::string described(per_pipeline const& counts) {
  std::string text;
  for (std::int32_t const count : counts.values())
    text += (text.empty() ? "" : ",") + std::to_string(count);
  return text;
}

inline std::string describe_job(pipeline_job const& job) {
  std::string text = "D=" + std::to_string(job.pipelines) + " S=" + std::to_string(job.stages) +
                     " M=" + described(job.microbatches) +
                     " layout=" + std::string(to_string(job.layout.form())) +
                     " transfer=" + std::to_string(job.transfer.within_node) +
                     " cap=" + std::to_string(static_cast<int>(job.memory.rule)) + "/" +
                     std::to_string(job.memory.limit) + " costs";
  for (stage_id s : ids<stage_id>(job.stages))
    text += " " + std::to_string(job.costs.forward[s]) + "," +
            std::to_string(job.costs.backward_input[s]) + "," +
            std::to_string(job.costs.backward_weight[s]) + "," + std::to_string(job.costs.step[s]);
  for (auto const* list :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight, &job.costs.step})
    if (list->size() > static_cast<std::size_t>(job.stages)) {
      text += " by worker";
      for (ticks const each : list->values()) text += " " + std::to_string(each);
    }
  if (!job.lengths.empty()) text += " lengths";
  for (std::int32_t const length : job.lengths) text += " " + std::to_string(length);
  for (worker const& w : job.dead)
    text += " dead " + std::to_string(w.pipeline.value()) + ":" + std::to_string(w.stage.value());
  return text;
}

// Gives the pipelines of every third job different numbers of micro-batches, without a roll.
inline void make_some_uneven(pipeline_job& job) {
  std::int32_t const most = job.microbatches[0];
  if (job.pipelines == 1 || (job.pipelines + job.stages + most) % 3 != 0) return;
  std::vector<std::int32_t> counts;
  for (std::int32_t p = 0; p < job.pipelines; ++p) counts.push_back(1 + (most + 2 * p - 1) % most);
  job.microbatches = per_pipeline(std::move(counts));
}

inline void kill_some(random_cases& d, pipeline_job& job, std::int32_t one_in) {
  for (rank_id r : ids<rank_id>(job.ranks())) {
    if (d.roll(1, one_in) > 1) continue;
    job.dead.push_back(job.worker_of(r));
    if (stage_without_worker(job)) job.dead.pop_back();
  }
}

// Any layout, unequal costs, links within and between nodes, caps that fit.
inline pipeline_job random_job_with_failures(random_cases& d, bool any_layout) {
  pipeline_job job{.pipelines = d.roll(2, 4), .stages = d.roll(2, 6), .microbatches = d.roll(1, 9)};
  std::int32_t const form = any_layout ? d.roll(1, 4) : 0;
  if (form == 1) job.layout = stage_layout::looped(2);
  if (form == 2) job.layout = stage_layout::wave(2);
  if (form == 3) job.layout = stage_layout::bidirectional();
  if (form == 1 || form == 2) job.stages += job.stages % 2;
  if (form == 3) job.pipelines += job.pipelines % 2;
  if (form == 4) {
    std::vector<rank_id> ranks;
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      for (std::int32_t s = 0; s < job.stages; ++s)
        ranks.push_back(p * 2 + (s * 2 < job.stages ? 0 : 1));
    job.layout = stage_layout::custom(std::move(ranks));
  }
  job.costs = {d.costs(job.stages, 1, 9), d.costs(job.stages, 1, 9), d.costs(job.stages, 0, 9),
               d.costs(job.stages, 0, 4)};
  job.transfer = d.roll(0, 1) == 0 ? transfer_times(d.roll(0, 3))
                                   : transfer_times{d.roll(0, 2), d.roll(2, 5), d.roll(1, 5)};
  if (d.roll(0, 2) == 0) {
    job.stash = {.forward = d.costs(job.stages, 2, 4), .backward_input = d.costs(job.stages, 0, 2)};
    std::vector<std::int64_t> limits;
    for (rank_id r : ids<rank_id>(job.ranks()))
      limits.push_back(4 * static_cast<std::int64_t>(job.stages_of(r).size()) + d.roll(0, 8));
    job.memory = stash_cap::per_rank(std::move(limits));
  }
  kill_some(d, job, 5);
  make_some_uneven(job);
  return job;
}

/// Gives a valid job costs of its workers, lengths of its micro-batches and times of its links,
/// each with a chance of two in three.
inline void make_unlike(random_cases& d, pipeline_job& job) {
  auto const by_rank = [&](per_stage const& list) {
    if (d.roll(0, 2) == 0) return list;
    std::vector<ticks> factor, all;
    for (std::int32_t r = 0; r < job.ranks(); ++r) factor.push_back(d.roll(1, 3));
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages))
        all.push_back(list.of(p, s, job.stages) * factor[job.rank_of({p, s}).index()]);
    return per_stage(std::move(all));
  };
  for (auto* list :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight, &job.costs.step})
    *list = by_rank(*list);
  if (d.roll(0, 2) > 0)
    for (std::int32_t n = 0; n < job.total_microbatches(); ++n) job.lengths.push_back(d.roll(1, 3));
  if (d.roll(0, 2) == 0) return;
  std::vector<ticks> links;
  for (std::int32_t n = 0; n < job.ranks() * job.ranks(); ++n) links.push_back(d.roll(0, 3));
  job.transfer = transfer_times(job.ranks(), std::move(links));
}

inline pipeline_job paper_job() {
  return {.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}};
}

inline pipeline_job paper_job_after_a_failure() {
  auto job = paper_job();
  job.dead = {{1, 2}};
  return job;
}

inline pipeline_job random_linear_job(random_cases& d, std::int32_t most_pipelines,
                                      std::int32_t most_stages, std::int32_t most_microbatches) {
  pipeline_job job{.pipelines = d.roll(1, most_pipelines),
                   .stages = d.roll(1, most_stages),
                   .microbatches = d.roll(1, most_microbatches)};
  auto const costs = [&](std::int32_t low, std::int32_t high) {
    std::vector<ticks> each;
    bool const equal = d.roll(0, 2) == 0;
    for (std::int32_t s = 0; s < job.stages; ++s)
      each.push_back(equal && s > 0 ? each[0] : d.roll(low, high));
    return per_stage(std::move(each));
  };
  job.costs = {.forward = costs(1, 9),
               .backward_input = costs(1, 9),
               .backward_weight = costs(0, 9),
               .step = costs(0, 5)};
  job.transfer = d.roll(0, 3);
  if (d.roll(0, 2) == 0)
    job.memory = d.roll(0, 1) == 0 ? stash_cap::one_f_one_b()
                                   : stash_cap::per_worker(d.roll(1, job.stages + 1));
  for (std::int32_t s = 0; s < job.stages; ++s)
    for (std::int32_t p = 0; p < job.pipelines; ++p)
      if (d.roll(0, 5) == 0) job.dead.push_back({p, s});
  make_some_uneven(job);
  return job;
}

}  // namespace shunt::tests
