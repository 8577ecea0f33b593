#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// One iteration of synchronous pipeline-parallel training: `pipelines` (D) data-parallel copies of
/// `stages` (S) stages, each with `microbatches` (M) micro-batches of its own: `microbatches[p]` in
/// pipeline p. A worker is a pair (pipeline, stage); the layout says which rank runs it. All
/// workers of a stage hold the same parameters, so a live one can compute the micro-batches of a
/// dead one.
///
/// The worker that computes an operation determines its cost, also for a micro-batch of another
/// pipeline: slow workers have other values in the lists of `costs`. A micro-batch of length l
/// takes l times as long. Transfers, stashes and steps are the same for all lengths.
struct pipeline_job {
  std::int32_t pipelines = 1;
  std::int32_t stages = 1;
  per_pipeline microbatches = 1;
  stage_costs costs{};
  transfer_times transfer{};
  stash_cap memory{};
  std::vector<worker> dead{};  ///< one worker of each dead rank
  stage_layout layout = stage_layout::linear();
  stash_weights stash{};
  /// by number_of, in units of what `costs` are for; empty: all 1
  std::vector<std::int32_t> lengths{};

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks() const {
    return layout.ranks(pipelines, stages);
  }
  /// Number of workers, D x S. Equal to the ranks only where every rank runs one worker.
  [[nodiscard]] constexpr std::int32_t workers() const { return pipelines * stages; }
  /// Returns the micro-batches of all pipelines.
  [[nodiscard]] constexpr std::int32_t total_microbatches() const {
    return static_cast<std::int32_t>(microbatches.before(pipelines));
  }
  /// Returns the number of a micro-batch over all pipelines, counted pipeline by pipeline.
  [[nodiscard]] constexpr std::int64_t number_of(pipeline_id p, microbatch_id m) const {
    return microbatches.before(p) + m.value();
  }
  /// Number of pairs of a micro-batch and a stage, S times the micro-batches of all pipelines.
  [[nodiscard]] constexpr std::size_t cells() const {
    return static_cast<std::size_t>(microbatches.before(pipelines)) *
           static_cast<std::size_t>(stages);
  }
  /// Returns the number of such a pair, counted by pipeline, by stage and by micro-batch: the next
  /// stage of a micro-batch is `microbatches[p]` cells further.
  [[nodiscard]] constexpr std::size_t cell(pipeline_id p, stage_id s, microbatch_id m) const {
    return static_cast<std::size_t>(microbatches.before(p)) * static_cast<std::size_t>(stages) +
           s.index() * static_cast<std::size_t>(microbatches[p]) + m.index();
  }
  [[nodiscard]] constexpr std::int64_t length_of(pipeline_id p, microbatch_id m) const {
    return lengths.empty() ? 1 : lengths[static_cast<std::size_t>(number_of(p, m))];
  }
  /// Returns whether workers of a stage, or micro-batches, may have different costs.
  [[nodiscard]] SHUNT_CONSTEXPR bool uneven() const;
  /// Returns the value of a list of costs for a stage on a rank: of the worker of pipeline_of.
  [[nodiscard]] SHUNT_CONSTEXPR ticks cost_on(per_stage const& list, rank_id r, stage_id s) const {
    if (list.size() <= static_cast<std::size_t>(stages)) return list[s];
    return list.of(pipeline_of(r, s), s, stages);
  }
  /// Returns the first pipeline whose stage s is on rank r, or else the first pipeline of the rank.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_id pipeline_of(rank_id r, stage_id s) const;
  /// Returns the rank of a worker. Ranks are numbered pipeline by pipeline: p * stages + s under a
  /// linear layout.
  [[nodiscard]] SHUNT_CONSTEXPR rank_id rank_of(worker w) const {
    return layout.rank_of(w, stages);
  }
  /// Returns the workers of a rank, by pipeline and then by stage.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<worker> workers_of(rank_id r) const;
  /// Returns the first worker of a rank, which names the rank.
  [[nodiscard]] SHUNT_CONSTEXPR worker worker_of(rank_id r) const;
  /// Returns the stages of a rank, ascending, each once. It holds their parameters.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<stage_id> stages_of(rank_id r) const;
  [[nodiscard]] SHUNT_CONSTEXPR bool alive(rank_id r) const;
  [[nodiscard]] SHUNT_CONSTEXPR bool alive(worker w) const { return alive(rank_of(w)); }
  /// Returns the pipelines with stage s on a live rank, ascending.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_id> live_peers(stage_id s) const;
  /// Returns the live ranks that hold stage s, ascending, each once: they reduce its gradient.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<rank_id> live_holders(stage_id s) const;
  /// Returns the most that a rank may stash, in the units of `stash`, or nothing without a limit.
  /// Limits above 2^61 count as 2^61, which no rank reaches.
  [[nodiscard]] SHUNT_CONSTEXPR std::optional<std::int64_t> stash_limit(rank_id r) const;

  bool operator==(pipeline_job const&) const = default;
};

/// Throws invalid_problem, which names the field, where a size isn't positive, the counts of
/// micro-batches are neither one nor one per pipeline, the layout doesn't fit, a list of costs has
/// another length than the stages and the workers, or differs between workers of one rank and
/// stage, a list of weights has another length than the stages, lengths are not one per micro-batch
/// or one is below 1, `forward` or `backward_input` is below 1, another cost, a transfer time or
/// the gain is negative, transfer times within and between nodes differ without `ranks_per_node`,
/// or their matrix is of other ranks, stash weights don't add up, a cap is below 1, the caps aren't
/// one per rank, a dead worker doesn't exist or its rank is named twice, the times of one
/// iteration, each micro-batch on the slowest worker, exceed 62 bits in sum, or all its stashes,
/// each as heavy as the heaviest, 61 bits. A stage without a live worker is no error here: solvers
/// answer infeasible.
SHUNT_CONSTEXPR void validate(pipeline_job const& job);

/// Returns the first stage without a live worker, if there is one. Such a job has no plan.
[[nodiscard]] SHUNT_CONSTEXPR std::optional<stage_id> stage_without_worker(pipeline_job const& job);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/pipeline_job.ipp"
#endif
