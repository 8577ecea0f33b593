#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/list_rewriter.hpp"
#include "shunt/lower/detail/validated_step.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Rewrites a program for validated steps, see `validated`. In the names here the verdict is the
/// gradient norms of all stages.
class step_validator {
 public:
  step_validator(program const& p, validation when, rollback how);

  validated_program operator()() &&;

 private:
  static constexpr std::int32_t none = -1;
  // The lane of reductions carries the messages that accompany no other message.
  static constexpr std::uint8_t transfers = 1;

  /// A peer that sends or receives the verdict, and the lane of that message.
  struct link {
    rank_id rank{};
    std::uint8_t lane = transfers;
  };
  struct rank_state {
    std::vector<validated_step> steps{};
    region norms{};
    std::vector<rank_id> below{};  // ranks that get the verdict from this one where no forwards run
    std::int32_t split = none;     // the first instruction after the verdict
    link from{none, transfers};    // source of the verdict; none: this rank computes it
    std::vector<link> to{};
  };

  [[nodiscard]] std::int32_t length(rank_id r) const;
  [[nodiscard]] instruction const& at(rank_id r, std::int32_t n) const;
  [[nodiscard]] bool is_last(stage_id s) const { return s.index() + 1 == holders_.size(); }
  [[nodiscard]] bool knows(rank_id r) const;
  [[nodiscard]] std::int32_t redo_channel(std::int32_t channel) const;
  [[nodiscard]] std::int32_t norms_channel() const { return 2 * channels_; }
  [[nodiscard]] std::int32_t prefix_channel() const { return 2 * channels_ + 1; }

  /// Returns the worker of stage `other` that corresponds to worker r of the neighbouring stage
  /// `own`: r itself where it holds both.
  [[nodiscard]] rank_id neighbour(rank_id r, stage_id own, stage_id other) const;
  /// Returns the source of a rank's verdict where no forwards run: a worker of the stage after its
  /// last one, or none where the rank computes it.
  [[nodiscard]] rank_id above(rank_id r) const;

  [[nodiscard]] bool moved_to_end(rank_id r, std::int32_t n) const;
  /// Whether an instruction zeroes a gradient or a flag, which must wait for the verdict.
  [[nodiscard]] bool clears_gradient(rank_id r, std::int32_t n) const;

  /// Finds where in its list, and from which rank, each rank gets the verdict.
  void find_norms();
  /// Returns the instruction of the peer that sends the message which a rank receives.
  [[nodiscard]] std::int32_t sent_at(rank_id r, std::int32_t n) const;

  void declare(list_rewriter& list, rank_id r);

  /// Receives the verdict and passes it on. `known`: its region on a worker of the last stage.
  /// Returns the instruction that receives or copies it.
  std::int32_t pass_norms(list_rewriter& list, rank_id r, link const& from,
                          std::vector<link> const& to, region const& known,
                          std::vector<std::int32_t> const& after);

  /// Validates the stages of a rank and rolls back steps that don't stand.
  /// Returns the last instruction.
  std::int32_t lower_rollback(list_rewriter& list, rank_id r,
                              std::vector<std::int32_t> const& after);

  /// Emits all before the steps: warm-up, verdict, rollback, repeated warm-up, the rest.
  void lower_opening(list_rewriter& list, rank_id r);

  /// Emits norms, prefix sums and steps of a rank, stage by stage.
  void lower_steps(list_rewriter& list, rank_id r);

  void lower_closing(list_rewriter& list, rank_id r);

  program const& p_;
  validation when_;
  rollback how_;
  dependencies d_;
  std::vector<rank_state> ranks_;
  indexed<stage_id, std::vector<rank_id>> holders_;
  std::int32_t channels_ = 0, batches_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/step_validator.ipp"
#endif
