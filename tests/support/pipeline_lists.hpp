#pragma once
#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"

namespace shunt::tests {

/// Returns the letter of an operation: F, B, I (backward_input), W (backward_weight) or S (step).
inline char letter_of(op_kind kind) {
  switch (kind) {
    case op_kind::forward: return 'F';
    case op_kind::backward: return 'B';
    case op_kind::backward_input: return 'I';
    case op_kind::backward_weight: return 'W';
    default: return 'S';
  }
}

/// Returns a rank's list as "F0 B0 S", with micro-batches.
inline std::string short_form(pipeline_schedule const& plan, rank_id r) {
  std::string text;
  for (operation const& o : plan.order[r]) {
    if (!text.empty()) text += ' ';
    text += letter_of(o.kind);
    if (o.kind != op_kind::step) text += std::to_string(o.microbatch.value());
  }
  return text;
}

/// Returns a rank's list as "F2:0 B2:0 S2", with stages and micro-batches.
inline std::string staged_form(pipeline_schedule const& plan, rank_id r) {
  std::string text;
  for (operation const& o : plan.order[r]) {
    if (!text.empty()) text += ' ';
    text += letter_of(o.kind) + std::to_string(o.stage.value());
    if (o.kind != op_kind::step) text += ':' + std::to_string(o.microbatch.value());
  }
  return text;
}

/// Returns how many operations of a kind stand in a rank's list.
inline std::ptrdiff_t count_of(pipeline_schedule const& plan, rank_id r, op_kind kind) {
  auto const& list = plan.order[r];
  return std::count_if(list.begin(), list.end(),
                       [&](operation const& o) { return o.kind == kind; });
}

}  // namespace shunt::tests
