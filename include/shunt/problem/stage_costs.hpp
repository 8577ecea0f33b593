#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// One value for all stages, one value per stage, or, as costs of operations, one value per worker:
/// `.forward = 3`, `.forward = {3, 3, 4, 2}`, or a list of pipelines x stages values, pipeline by
/// pipeline. Measured seconds become ticks with costs_from_seconds (problem/measured_costs.hpp),
/// which rounds.
class per_stage {
 public:
  per_stage(std::floating_point auto every_stage) = delete;
  constexpr per_stage(ticks every_stage) : one_(every_stage) {}
  SHUNT_CONSTEXPR per_stage(std::initializer_list<ticks> values);
  SHUNT_CONSTEXPR explicit per_stage(std::vector<ticks> values);

  /// Returns the value of a stage; of a list with one value per worker, that in pipeline 0.
  [[nodiscard]] SHUNT_CONSTEXPR ticks operator[](stage_id s) const;
  /// Returns the value of a worker in pipelines of `stages` stages.
  [[nodiscard]] SHUNT_CONSTEXPR ticks of(pipeline_id p, stage_id s, std::int32_t stages) const;
  [[nodiscard]] constexpr std::size_t size() const { return single_ ? 1 : list_.size(); }
  /// Returns the only value, or one value per stage or worker.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<ticks> values() const;
  bool operator==(per_stage const&) const = default;

 private:
  // One value needs no memory: jobs are made and copied often.
  bool single_ = true;
  ticks one_ = 0;
  std::vector<ticks> list_{};
};

/// Times of a stage's operations, in ticks. `backward_input` is the gradient with respect to the
/// stage's input alone, `backward_weight` the gradient with respect to its parameters. A fused
/// backward takes the sum of both. `forward` and `backward_input` are positive, the others at least
/// 0.
struct stage_costs {
  per_stage forward = 1;
  per_stage backward_input = 1;
  per_stage backward_weight = 1;
  per_stage step = 0;
  /// Ticks that an overlapped pair of a forward and a backward takes less than both in sequence
  /// (DualPipe). At most the shorter of the two is gained.
  ticks overlap_gain = 0;

  [[nodiscard]] SHUNT_CONSTEXPR ticks microbatch(stage_id s) const;
  bool operator==(stage_costs const&) const = default;
};

/// Ticks from the end of an operation until its output can be used on another rank, by class of
/// link, or by pair of ranks. Consecutive ranks share a node. On the same rank an output can be
/// used at once. One number converts to the same time between all ranks.
struct transfer_times {
  ticks within_node = 0;
  ticks between_nodes = 0;
  std::int32_t ranks_per_node = 0;  ///< 0: all ranks on one node
  /// [from * ranks + to]: takes the place of the classes, which are then 0; empty: classes
  std::vector<ticks> matrix{};
  std::int32_t ranks = 0;  ///< of the matrix

  constexpr transfer_times() = default;
  transfer_times(std::floating_point auto everywhere) = delete;
  constexpr transfer_times(ticks everywhere) : within_node(everywhere), between_nodes(everywhere) {}
  constexpr transfer_times(ticks within, ticks between, std::int32_t ranks_a_node)
      : within_node(within), between_nodes(between), ranks_per_node(ranks_a_node) {}
  /// Times between each two of `ranks` ranks; what stands on the diagonal is not read.
  SHUNT_CONSTEXPR transfer_times(std::int32_t ranks_of_matrix, std::vector<ticks> from_to);

  [[nodiscard]] SHUNT_CONSTEXPR ticks operator()(rank_id from, rank_id to) const {
    if (from == to) return 0;
    return ranks_per_node == 0 && matrix.empty() ? within_node : of_link(from, to);
  }
  /// Returns whether all links take the same time.
  [[nodiscard]] constexpr bool alike() const {
    return matrix.empty() && (ranks_per_node == 0 || within_node == between_nodes);
  }
  /// Returns the times of all links: of both classes, or of all pairs of ranks.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<ticks> values() const;
  bool operator==(transfer_times const&) const = default;

 private:
  // Of different ranks, where links differ.
  [[nodiscard]] SHUNT_CONSTEXPR ticks of_link(rank_id from, rank_id to) const;
};

/// Weight of a micro-batch's stash, in units of the cap. A forward adds `forward`. A backward_input
/// releases `backward_input`, the backward_weight the rest. A fused backward releases all.
struct stash_weights {
  per_stage forward = 1;
  per_stage backward_input = 0;

  bool operator==(stash_weights const&) const = default;
};

/// The most that a rank may stash at once, in the units of stash_weights.
struct stash_cap {
  enum class kind : std::uint8_t {
    none,  ///< no limit
    /// The i-th of a pipeline's s ranks holds at most s - i micro-batches, as plain 1F1B needs. For
    /// layouts whose ranks have consecutive stages of one pipeline.
    one_f_one_b,
    per_worker,  ///< `limit` on every rank
    per_rank,    ///< `limits[rank]`
  };
  kind rule = kind::none;
  std::int64_t limit = 0;
  std::vector<std::int64_t> limits{};

  [[nodiscard]] static constexpr stash_cap none() { return {}; }
  [[nodiscard]] static constexpr stash_cap one_f_one_b() { return {kind::one_f_one_b, 0, {}}; }
  [[nodiscard]] static SHUNT_CONSTEXPR stash_cap per_worker(std::int64_t limit);
  [[nodiscard]] static SHUNT_CONSTEXPR stash_cap per_rank(std::vector<std::int64_t> limits);

  bool operator==(stash_cap const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/stage_costs.ipp"
#endif
