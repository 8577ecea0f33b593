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

namespace shunt {

/// One value for every stage, or one value a stage: `.forward = 3` and `.forward = {3, 3, 4, 2}` both read as written.
class per_stage {
 public:
  constexpr per_stage(ticks every_stage) : values_{every_stage} {}
  constexpr per_stage(std::initializer_list<ticks> values) : values_(values) {}
  constexpr explicit per_stage(std::vector<ticks> values) : values_(std::move(values)) {}

  [[nodiscard]] constexpr ticks operator[](stage_id s) const { return values_[values_.size() == 1 ? 0 : s.index()]; }
  [[nodiscard]] constexpr std::size_t size() const { return values_.size(); }
  [[nodiscard]] constexpr std::vector<ticks> const& values() const { return values_; }
  constexpr bool operator==(per_stage const&) const = default;

 private:
  std::vector<ticks> values_;
};

/// What the operations of a stage take, in ticks. `backward_input` is the gradient with respect to the stage's input alone,
/// `backward_weight` the gradient with respect to its parameters; a fused backward takes the sum of both.
/// forward and backward_input must be positive, the others may be zero.
struct stage_costs {
  per_stage forward = 1;
  per_stage backward_input = 1;
  per_stage backward_weight = 1;
  per_stage step = 0;

  [[nodiscard]] constexpr ticks microbatch(stage_id s) const { return forward[s] + backward_input[s] + backward_weight[s]; }
  constexpr bool operator==(stage_costs const&) const = default;
};

/// A worker by its place: stage `stage` of pipeline `pipeline`.
struct worker {
  pipeline_id pipeline{};
  stage_id stage{};

  constexpr auto operator<=>(worker const&) const = default;
  constexpr bool operator==(worker const&) const = default;
};

/// How many micro-batches a worker may hold stashed at once. A stash lives from a micro-batch's forward to the end of its fused
/// backward, or of its backward_weight where the backward is split.
struct stash_cap {
  enum class kind : std::uint8_t {
    none,             ///< no limit
    one_f_one_b,      ///< stage s of S holds at most S - s, as plain 1F1B needs
    per_worker,       ///< `limit` on every worker
  };
  kind rule = kind::none;
  std::int32_t limit = 0;

  [[nodiscard]] static constexpr stash_cap none() { return {}; }
  [[nodiscard]] static constexpr stash_cap one_f_one_b() { return {kind::one_f_one_b, 0}; }
  [[nodiscard]] static constexpr stash_cap per_worker(std::int32_t limit) { return {kind::per_worker, limit}; }

  constexpr bool operator==(stash_cap const&) const = default;
};

/// One iteration of synchronous pipeline-parallel training: `pipelines` (D) data-parallel copies of `stages` (S) stages, each copy
/// with `microbatches` (M) micro-batches of its own. Workers at the same stage hold the same parameters, so a live one can take over
/// the micro-batches of a dead one.
struct pipeline_job {
  std::int32_t pipelines = 1;
  std::int32_t stages = 1;
  std::int32_t microbatches = 1;
  stage_costs costs{};
  ticks transfer = 0;  ///< from the end of an operation to the moment its output can be used on another worker
  stash_cap memory{};
  std::vector<worker> dead{};

  [[nodiscard]] constexpr std::int32_t ranks() const { return pipelines * stages; }
  [[nodiscard]] constexpr std::int32_t microbatches_in_all() const { return pipelines * microbatches; }
  /// Ranks are dealt pipeline by pipeline: worker (p, s) is rank p * stages + s.
  [[nodiscard]] constexpr rank_id rank_of(worker w) const { return w.pipeline.value() * stages + w.stage.value(); }
  [[nodiscard]] constexpr worker worker_of(rank_id r) const { return {r.value() / stages, r.value() % stages}; }
  [[nodiscard]] constexpr bool alive(worker w) const { return std::find(dead.begin(), dead.end(), w) == dead.end(); }
  /// The pipelines whose worker at stage s lives, in ascending order.
  [[nodiscard]] constexpr std::vector<pipeline_id> live_peers(stage_id s) const {
    std::vector<pipeline_id> live;
    for (std::int32_t p = 0; p < pipelines; ++p)
      if (alive({p, s})) live.push_back(p);
    return live;
  }
  /// The most micro-batches a worker of stage s may stash, or nothing where there is no limit.
  [[nodiscard]] constexpr std::optional<std::int32_t> stash_limit(stage_id s) const {
    switch (memory.rule) {
      case stash_cap::kind::none: return std::nullopt;
      case stash_cap::kind::one_f_one_b: return stages - s.value();
      case stash_cap::kind::per_worker: return memory.limit;
    }
    return std::nullopt;
  }

  constexpr bool operator==(pipeline_job const&) const = default;
};

/// Throws invalid_problem, naming the field, where a job is broken: a size that isn't positive, a list of costs of another length than
/// the stages, forward or backward_input below 1, a negative cost, a cap below 1, a dead worker that doesn't exist or is named twice,
/// or times whose sum over one iteration doesn't fit 62 bits. A stage without a live worker is no broken job; solvers answer
/// infeasible.
constexpr void validate(pipeline_job const& job) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  positive("pipelines", job.pipelines);
  positive("stages", job.stages);
  positive("microbatches", job.microbatches);
  auto const ranks = checked_multiply(job.pipelines, job.stages);
  auto const cells = checked_multiply(*ranks, job.microbatches);
  constexpr std::int64_t most = std::int64_t{1} << 31;
  if (*ranks >= most) throw invalid_problem("pipelines", "pipelines x stages is beyond 32 bits");
  if (!cells || *cells >= most) throw invalid_problem("microbatches", "pipelines x stages x microbatches is beyond 32 bits");

  std::int64_t busiest = 0;  // the work of every stage for every micro-batch, with transfers: no schedule without idling is longer
  auto const grow = [&](auto const& field, std::int64_t cost, std::int64_t times) {
    auto const product = checked_multiply(cost, times);
    auto const sum = product ? checked_add(busiest, *product) : std::nullopt;
    if (!sum || *sum >= (std::int64_t{1} << 62)) throw invalid_problem(field(), "is " + std::to_string(cost) + ": the times of one iteration add up beyond 62 bits");
    busiest = *sum;
  };
  auto const check = [&](char const* kind, per_stage const& costs, ticks least, std::int64_t times) {
    if (costs.size() != 1 && costs.size() != static_cast<std::size_t>(job.stages))
      throw invalid_problem(std::string("costs.") + kind,
                            "has " + std::to_string(costs.size()) + " values for " + std::to_string(job.stages) + " stages");
    for (std::int32_t s = 0; s < static_cast<std::int32_t>(costs.size()); ++s) {
      auto const field = [&] {
        std::string const whole = std::string("costs.") + kind;
        return costs.size() == 1 ? whole : whole + "[" + std::to_string(s) + "]";
      };
      if (costs[s] < least)
        throw invalid_problem(field(), "must be at least " + std::to_string(least) + ", is " + std::to_string(costs[s]));
      grow(field, costs[s], costs.size() == 1 ? times * job.stages : times);
    }
  };
  std::int64_t const all = job.microbatches_in_all();
  check("forward", job.costs.forward, 1, all);
  check("backward_input", job.costs.backward_input, 1, all);
  check("backward_weight", job.costs.backward_weight, 0, all);
  check("step", job.costs.step, 0, 1);
  if (job.transfer < 0) throw invalid_problem("transfer", "must be at least 0, is " + std::to_string(job.transfer));
  grow([] { return "transfer"; }, job.transfer, 2 * *cells);

  if (job.memory.rule == stash_cap::kind::per_worker) positive("memory", job.memory.limit);
  for (std::size_t i = 0; i < job.dead.size(); ++i) {
    worker const w = job.dead[i];
    auto const refuse = [&](std::string const& why) {
      throw invalid_problem("dead[" + std::to_string(i) + "]", "worker " + std::to_string(w.pipeline.value()) + ":" +
                                                                   std::to_string(w.stage.value()) + " " + why);
    };
    if (w.pipeline < 0 || w.pipeline >= job.pipelines || w.stage < 0 || w.stage >= job.stages)
      refuse("is not one of " + std::to_string(job.pipelines) + " pipelines x " + std::to_string(job.stages) + " stages");
    if (std::find(job.dead.begin(), job.dead.begin() + static_cast<std::ptrdiff_t>(i), w) !=
        job.dead.begin() + static_cast<std::ptrdiff_t>(i))
      refuse("is named twice");
  }
}

/// The first stage that has no live worker, if there is one: such a job is sound, but has no plan.
[[nodiscard]] constexpr std::optional<stage_id> stage_without_worker(pipeline_job const& job) {
  for (std::int32_t s = 0; s < job.stages; ++s)
    if (job.live_peers(s).empty()) return stage_id{s};
  return std::nullopt;
}

}  // namespace shunt
