#pragma once
#include "shunt/core/operation.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(op_kind k) {
  switch (k) {
    case op_kind::forward: return "forward";
    case op_kind::backward: return "backward";
    case op_kind::backward_input: return "backward_input";
    case op_kind::backward_weight: return "backward_weight";
    case op_kind::step: return "step";
    case op_kind::route: return "route";
    case op_kind::dispatch: return "split";
    case op_kind::expert_forward: return "expert_forward";
    case op_kind::combine: return "combine";
    case op_kind::combine_backward: return "uncombine";
    case op_kind::expert_backward: return "expert_backward";
    case op_kind::dispatch_backward: return "unsplit";
    case op_kind::gradient_norm: return "norm";
    case op_kind::validate_step: return "validate";
    case op_kind::redo_step: return "step_again";
    case op_kind::redundant_forward: return "redundant_forward";
    case op_kind::pace: return "pace";
  }
  return "unknown";
}

SHUNT_CONSTEXPR text describe(operation const& o) {
  text what(to_string(o.kind));
  if (o.kind != op_kind::step)
    what = what + " of micro-batch " + text::of(o.pipeline.value()) + ":" +
           text::of(o.microbatch.value());
  return what + " at stage " + text::of(o.stage.value());
}

}  // namespace shunt
