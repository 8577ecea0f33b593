#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// One iteration of synchronous pipeline-parallel training: `pipelines` (D) data-parallel copies of
/// `stages` (S) stages, each with `microbatches` (M) micro-batches of its own. A worker is a pair
/// (pipeline, stage); the layout says which rank runs it. All workers of a stage hold the same
/// parameters, so a live one can compute the micro-batches of a dead one.
struct pipeline_job {
  std::int32_t pipelines = 1;
  std::int32_t stages = 1;
  std::int32_t microbatches = 1;
  stage_costs costs{};
  transfer_times transfer{};
  stash_cap memory{};
  std::vector<worker> dead{};  ///< one worker of each dead rank
  stage_layout layout = stage_layout::linear();
  stash_weights stash{};

  [[nodiscard]] constexpr std::int32_t ranks() const { return layout.ranks(pipelines, stages); }
  /// Number of workers, D x S. Equal to the ranks only where every rank runs one worker.
  [[nodiscard]] constexpr std::int32_t workers() const { return pipelines * stages; }
  [[nodiscard]] constexpr std::int32_t total_microbatches() const {
    return pipelines * microbatches;
  }
  /// Returns the rank of a worker. Ranks are numbered pipeline by pipeline: p * stages + s under a
  /// linear layout.
  [[nodiscard]] constexpr rank_id rank_of(worker w) const { return layout.rank_of(w, stages); }
  /// Returns the workers of a rank, by pipeline and then by stage.
  [[nodiscard]] constexpr std::vector<worker> workers_of(rank_id r) const {
    return layout.workers_of(r, pipelines, stages);
  }
  /// Returns the first worker of a rank, which names the rank.
  [[nodiscard]] constexpr worker worker_of(rank_id r) const {
    if (layout.form() == stage_layout::shape::custom) return workers_of(r).front();
    std::int32_t const length = stages / layout.chunks(),
                       share = layout.form() == stage_layout::shape::bidirectional ? 2 : 1;
    return {r.value() / length * share, r.value() % length};
  }
  /// Returns the stages of a rank, ascending, each once. It holds their parameters.
  [[nodiscard]] constexpr std::vector<stage_id> stages_of(rank_id r) const {
    std::vector<stage_id> held;
    for (worker const& w : workers_of(r)) held.push_back(w.stage);
    std::sort(held.begin(), held.end());
    held.erase(std::unique(held.begin(), held.end()), held.end());
    return held;
  }
  [[nodiscard]] constexpr bool alive(rank_id r) const {
    return std::none_of(dead.begin(), dead.end(), [&](worker const& w) { return rank_of(w) == r; });
  }
  [[nodiscard]] constexpr bool alive(worker w) const { return alive(rank_of(w)); }
  /// Returns the pipelines with stage s on a live rank, ascending.
  [[nodiscard]] constexpr std::vector<pipeline_id> live_peers(stage_id s) const {
    std::vector<pipeline_id> live;
    for (std::int32_t p = 0; p < pipelines; ++p)
      if (alive(worker{p, s})) live.push_back(p);
    return live;
  }
  /// Returns the live ranks that hold stage s, ascending, each once: they reduce its gradient.
  [[nodiscard]] constexpr std::vector<rank_id> live_holders(stage_id s) const {
    std::vector<rank_id> live;
    for (pipeline_id p : live_peers(s)) live.push_back(rank_of({p, s}));
    std::sort(live.begin(), live.end());
    live.erase(std::unique(live.begin(), live.end()), live.end());
    return live;
  }
  /// Returns the most that a rank may stash, in the units of `stash`, or nothing without a limit.
  [[nodiscard]] constexpr std::optional<std::int64_t> stash_limit(rank_id r) const {
    switch (memory.rule) {
      case stash_cap::kind::none: return std::nullopt;
      case stash_cap::kind::one_f_one_b:
        return (stages - worker_of(r).stage.value()) * stash.forward[worker_of(r).stage];
      case stash_cap::kind::per_worker: return memory.limit;
      case stash_cap::kind::per_rank: return memory.limits[r.index()];
    }
    return std::nullopt;
  }

  constexpr bool operator==(pipeline_job const&) const = default;
};

/// Throws invalid_problem, which names the field, where a size isn't positive, the layout doesn't
/// fit, a list of costs or weights has another length than the stages, `forward` or
/// `backward_input` is below 1, another cost, a transfer time or the gain is negative, transfer
/// times within and between nodes differ without `ranks_per_node`, stash weights don't add up, a
/// cap is below 1, the caps aren't one per rank, a dead worker doesn't exist or its rank is named
/// twice, or the times of one iteration exceed 62 bits in sum. A stage without a live worker is no
/// error here: solvers answer infeasible.
constexpr void validate(pipeline_job const& job) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  positive("pipelines", job.pipelines);
  positive("stages", job.stages);
  positive("microbatches", job.microbatches);
  auto const workers = checked_multiply(job.pipelines, job.stages);
  auto const cells = checked_multiply(*workers, job.microbatches);
  constexpr std::int64_t most = std::int64_t{1} << 31;
  if (*workers >= most) throw invalid_problem("pipelines", "pipelines x stages is beyond 32 bits");
  if (!cells || *cells >= most)
    throw invalid_problem("microbatches", "pipelines x stages x microbatches is beyond 32 bits");
  validate(job.layout, job.pipelines, job.stages);

  // The work of every stage for every micro-batch, with transfers: the longest schedule without
  // idle time.
  std::int64_t busiest = 0;
  auto const grow = [&](auto const& field, std::int64_t cost, std::int64_t times) {
    auto const product = checked_multiply(cost, times);
    auto const sum = product ? checked_add(busiest, *product) : std::nullopt;
    if (!sum || *sum >= (std::int64_t{1} << 62))
      throw invalid_problem(field(), "is " + std::to_string(cost) +
                                         ": the times of one iteration add up beyond 62 bits");
    busiest = *sum;
  };
  auto const check = [&](char const* kind, per_stage const& costs, ticks least,
                         std::int64_t times) {
    if (costs.size() != 1 && costs.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(std::string("costs.") + kind,
                            "has " + std::to_string(costs.size()) + " values for " +
                                std::to_string(job.stages) + " stages");
    for (std::int32_t s = 0; s < static_cast<std::int32_t>(costs.size()); ++s) {
      auto const field = [&] {
        std::string const whole = std::string("costs.") + kind;
        return costs.size() == 1 ? whole : whole + "[" + std::to_string(s) + "]";
      };
      if (costs[s] < least)
        throw invalid_problem(field(), "must be at least " + std::to_string(least) + ", is " +
                                           std::to_string(costs[s]));
      grow(field, costs[s], costs.size() == 1 ? times * job.stages : times);
    }
  };
  std::int64_t const all = job.total_microbatches();
  check("forward", job.costs.forward, 1, all);
  check("backward_input", job.costs.backward_input, 1, all);
  check("backward_weight", job.costs.backward_weight, 0, all);
  check("step", job.costs.step, 0, 1);
  if (job.costs.overlap_gain < 0)
    throw invalid_problem("costs.overlap_gain",
                          "must be at least 0, is " + std::to_string(job.costs.overlap_gain));
  ticks const within = job.transfer.within_node, between = job.transfer.between_nodes;
  if (within < 0 || between < 0)
    throw invalid_problem("transfer",
                          "must be at least 0, is " + std::to_string(std::min(within, between)));
  if (job.transfer.ranks_per_node < 0)
    throw invalid_problem("transfer.ranks_per_node",
                          "must be at least 0, is " + std::to_string(job.transfer.ranks_per_node));
  if (within != between && job.transfer.ranks_per_node == 0)
    throw invalid_problem("transfer.ranks_per_node",
                          "must be given where links within and between nodes differ");
  grow([] { return "transfer"; }, std::max(within, between), 2 * *cells);

  auto const weigh = [&](char const* kind, per_stage const& weights, ticks least) {
    auto const field = [&] { return std::string("stash.") + kind; };
    if (weights.size() != 1 && weights.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(field(), "has " + std::to_string(weights.size()) + " values for " +
                                         std::to_string(job.stages) + " stages");
    for (ticks const w : weights.values())
      if (w < least || w > (std::int64_t{1} << 31))
        throw invalid_problem(field(), "must be " + std::to_string(least) + " to 2^31, is " +
                                           std::to_string(w));
  };
  weigh("forward", job.stash.forward, 1);
  weigh("backward_input", job.stash.backward_input, 0);
  for (std::int32_t s = 0; s < job.stages; ++s)
    if (job.stash.backward_input[s] > job.stash.forward[s])
      throw invalid_problem("stash.backward_input",
                            "gives back " + std::to_string(job.stash.backward_input[s]) + " of " +
                                std::to_string(job.stash.forward[s]) + " at stage " +
                                std::to_string(s));
  switch (job.memory.rule) {
    case stash_cap::kind::none: break;
    case stash_cap::kind::one_f_one_b:
      if (job.layout.form() != stage_layout::shape::linear)
        throw invalid_problem("memory", "1f1b is for linear layouts");
      break;
    case stash_cap::kind::per_worker: positive("memory", job.memory.limit); break;
    case stash_cap::kind::per_rank:
      if (job.memory.limits.size() != static_cast<std::size_t>(job.ranks()))
        throw invalid_problem("memory", "has " + std::to_string(job.memory.limits.size()) +
                                            " limits for " + std::to_string(job.ranks()) +
                                            " ranks");
      for (std::int64_t const limit : job.memory.limits) positive("memory", limit);
      break;
  }
  for (std::size_t i = 0; i < job.dead.size(); ++i) {
    worker const w = job.dead[i];
    auto const refuse = [&](std::string const& why) {
      throw invalid_problem("dead[" + std::to_string(i) + "]",
                            "worker " + std::to_string(w.pipeline.value()) + ":" +
                                std::to_string(w.stage.value()) + " " + why);
    };
    if (w.pipeline < 0 || w.pipeline >= job.pipelines || w.stage < 0 || w.stage >= job.stages)
      refuse("is not one of " + std::to_string(job.pipelines) + " pipelines x " +
             std::to_string(job.stages) + " stages");
    if (std::any_of(job.dead.begin(), job.dead.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](worker const& other) { return job.rank_of(other) == job.rank_of(w); }))
      refuse("is named twice");
  }
}

/// Returns the first stage without a live worker, if there is one. Such a job has no plan.
[[nodiscard]] constexpr std::optional<stage_id> stage_without_worker(pipeline_job const& job) {
  for (std::int32_t s = 0; s < job.stages; ++s)
    if (job.live_peers(s).empty()) return stage_id{s};
  return std::nullopt;
}

}  // namespace shunt
