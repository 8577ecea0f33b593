#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/source_capacity.hpp"
#include "shunt/train/moe_model.hpp"

namespace shunt {

/// What is trained by moe_work, beside model and optimizer. The defaults are those of SYMI's
/// evaluation.
struct moe_training {
  std::int32_t ranks = 16;
  std::int32_t slots_per_rank = 4;  ///< in each layer
  std::int64_t tokens = 256;        ///< of a micro-batch; every rank has one in an iteration
  /// Of slots. Nothing: slots take all tokens that come, and results are the same bits under every
  /// placement.
  std::optional<capacity_factor> capacity = capacity_factor{};
  /// In place of `capacity`: each micro-batch has room of its own for each expert, as in
  /// DeepSpeed-MoE, and chance decides which of its tokens drop.
  std::optional<source_capacity> sources{};
  /// Ranks that hold each shard of the optimizer's state: 1 is uniform_shards, more are
  /// mirrored_shards. As many neighbours less one may be lost at once.
  std::int32_t copies = 1;
  std::int64_t iterations = 200;
  gradient_collection collection{};
  weight_scatter scatter{};
  std::optional<rank_id> only{};  ///< the rank of this process, where each rank has one of its own

  static constexpr std::int64_t most_iterations = 1'000'000;

  [[nodiscard]] std::int32_t slots() const { return ranks * slots_per_rank; }
  [[nodiscard]] std::int64_t all_tokens() const { return ranks * tokens; }
  /// Returns the tokens that a slot takes in an iteration; no limit where sources have one.
  [[nodiscard]] std::int64_t slot_capacity() const {
    return capacity && !sources ? shunt::slot_capacity(all_tokens(), slots(), *capacity) : dropless;
  }
};

/// Throws invalid_problem, naming the field, where the training is broken.
void validate(moe_training const& training);
/// Throws invalid_problem, naming the field, where a size is below 1 (`kept`: below 0) or beyond
/// 2^40.
void validate(moe_sizes const& sizes);

/// Returns what a program of lower/moe_iteration.hpp moves for a model. `kept_bytes`: of a
/// micro-batch in a layer. `moments`: floats of optimizer state per parameter.
[[nodiscard]] moe_shape shape_of(moe_sizes const& sizes, moe_training const& training,
                                 byte_count kept_bytes, std::int64_t moments);

/// Bytes that one phase of an iteration moves, of all layers and ranks together.
struct phase_bytes {
  byte_count formula = 0;  ///< s N X: each slot one X; of gradients, as often as there are copies
  byte_count counted = 0;  ///< moved by the plain program
  byte_count plain = 0;    ///< those of them that cross between ranks
  /// Between ranks where replicas that share a rank share messages.
  byte_count deduplicated = 0;
  byte_count moved = 0;  ///< between ranks in this training, with its own options

  /// Whether the plain program moves the bytes of the formula, and others don't move more.
  [[nodiscard]] bool holds() const {
    return counted == formula && deduplicated <= plain && plain <= formula;
  }
  bool operator==(phase_bytes const&) const = default;
};

/// A completed iteration.
struct moe_record {
  double loss = 0;                      ///< mean over all tokens
  std::vector<std::int64_t> loads{};    ///< layers x experts: tokens before any is dropped
  std::vector<std::int64_t> dropped{};  ///< layers: tokens
  /// Layers: tokens of the fullest rank. The mean is what isn't dropped over the live ranks.
  std::vector<std::int64_t> fullest{};
  /// Layers: the most tokens that a rank sends to other ranks, or receives from them.
  std::vector<std::int64_t> exchanged{};
  std::vector<std::int64_t> hosted{};  ///< layers: distinct pairs of rank and expert
  /// Layers: experts new to the rank to which the next placement brings most of them.
  std::vector<std::int64_t> received{};
  std::int32_t live = 0;     ///< ranks
  std::int64_t misfits = 0;  ///< values beyond fixed point, sums that may not be exact
  phase_bytes gradients{}, weights{};

  bool operator==(moe_record const&) const = default;
};

/// Returns tokens of the fullest rank over the mean of a rank, the mean over layers. 0 where all
/// tokens are dropped.
[[nodiscard]] double balance(moe_record const& record);

/// The cost of a loss of ranks. To plan again is placement, owners and programs. To restore is also
/// to copy shards from mirrors, and weights to the new slots.
struct moe_loss : loss {
  byte_count state_bytes = 0;  ///< of optimizer state, sent so that shards have their copies again
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/moe_training.ipp"
#endif
