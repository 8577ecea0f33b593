#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

/// The kinds of operations. Pipelines use the first five, three of the last where steps are
/// validated, and redundant_forward under redundant computation. Mixture-of-experts layers use the
/// others and `step`. `backward_input` is the gradient with respect to the stage's input alone.
/// `backward_weight` is the gradient with respect to the stage's parameters. `backward` is both,
/// fused: backward_input followed by backward_weight.
enum class op_kind : std::uint8_t {
  forward,
  backward,
  backward_input,
  backward_weight,
  step,               ///< the optimizer's update of the parameters
  route,              ///< choose experts for this rank's tokens and count them
  dispatch,           ///< divide the counted tokens over the slots, pack the tokens that are sent
  expert_forward,     ///< run this rank's slots on the tokens that arrived
  combine,            ///< put the experts' outputs back in token order
  combine_backward,   ///< pack the gradients of the experts' outputs: the backward pass of combine
  expert_backward,    ///< both gradients of this rank's slots
  dispatch_backward,  ///< add the returned gradients to those of their tokens: the backward pass of
                      ///< split
  /// A stage's part of the norm of all gradients: sum of squares, count of non-finite values.
  gradient_norm,
  validate_step,  ///< decide whether a stage's last step stands, from the parts of all stages
  redo_step,      ///< the step of the previous iteration, repeated after it was rolled back
  /// A forward that the shadow of its worker computes, too. Its output goes nowhere.
  redundant_forward,
  /// A rank's part in finding slow ranks (lower/pace.hpp): it tells, decides or hears.
  pace,
};

/// The number of kinds.
inline constexpr int op_kinds = static_cast<int>(op_kind::pace) + 1;

/// Returns whether operations of this kind are of one micro-batch of a pipeline.
[[nodiscard]] constexpr bool is_of_microbatch(op_kind k) {
  return k < op_kind::step || k == op_kind::redundant_forward;
}

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(op_kind k);

/// One operation. In pipelines `pipeline` owns the micro-batch, whichever worker runs the
/// operation, and `microbatch` counts within that pipeline. In a step, and in mixture-of-experts
/// layers, where `stage` is the layer, `pipeline` and `microbatch` are 0.
struct operation {
  op_kind kind = op_kind::forward;
  pipeline_id pipeline{};
  stage_id stage{};
  microbatch_id microbatch{};

  bool operator==(operation const&) const = default;
  auto operator<=>(operation const&) const = default;
};

/// Returns a description, for example "backward of micro-batch 2:5 at stage 1".
[[nodiscard]] SHUNT_CONSTEXPR text describe(operation const& o);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/operation.ipp"
#endif
