#pragma once
#include <compare>
#include <cstdint>
#include <string_view>

#include "shunt/core/id.hpp"

namespace shunt {

/// What a worker computes. Pipelines use the first five and, where steps are validated, the last
/// three; mixture-of-experts layers the rest and `step`. In this library backward_input is the
/// gradient with respect to the stage's input alone, backward_weight the gradient with respect to
/// its parameters, and backward is both, fused: backward_input followed by backward_weight.
enum class op_kind : std::uint8_t {
  forward,
  backward,
  backward_input,
  backward_weight,
  step,             ///< the optimizer's update of the parameters
  route,            ///< choose experts for this rank's tokens and count them
  split,            ///< share the counted tokens out over the slots, pack what this rank sends
  expert_forward,   ///< run this rank's slots on the tokens that arrived
  combine,          ///< put the experts' answers back in token order
  uncombine,        ///< pack the gradients of the experts' answers, the reverse of combine
  expert_backward,  ///< both gradients of this rank's slots
  unsplit,  ///< add the gradients that came back to the tokens they belong to, the reverse of split
  norm,     ///< a stage's share of what is asked of all gradients: the sum of their squares, values
            ///< that aren't finite
  validate,    ///< whether the step that a stage has taken stands, now that all shares are known
  step_again,  ///< the step of the iteration before, repeated after it was taken back
};

[[nodiscard]] constexpr std::string_view to_string(op_kind k) {
  switch (k) {
    case op_kind::forward: return "forward";
    case op_kind::backward: return "backward";
    case op_kind::backward_input: return "backward_input";
    case op_kind::backward_weight: return "backward_weight";
    case op_kind::step: return "step";
    case op_kind::route: return "route";
    case op_kind::split: return "split";
    case op_kind::expert_forward: return "expert_forward";
    case op_kind::combine: return "combine";
    case op_kind::uncombine: return "uncombine";
    case op_kind::expert_backward: return "expert_backward";
    case op_kind::unsplit: return "unsplit";
    case op_kind::norm: return "norm";
    case op_kind::validate: return "validate";
    case op_kind::step_again: return "step_again";
  }
  return "unknown";
}

/// One operation of one worker. In pipelines `pipeline` is the one that owns the micro-batch,
/// whichever worker runs it, and `microbatch` counts within it. In mixture-of-experts work `stage`
/// is the layer and the other two are 0, and so it is with a step.
struct operation {
  op_kind kind = op_kind::forward;
  pipeline_id pipeline{};
  stage_id stage{};
  microbatch_id microbatch{};

  constexpr bool operator==(operation const&) const = default;
  constexpr auto operator<=>(operation const&) const = default;
};

}  // namespace shunt
