#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::tests::small_schedules {

using rule = pipeline_rule;

inline constexpr auto F = op_kind::forward, B = op_kind::backward, I = op_kind::backward_input,
                      W = op_kind::backward_weight;

// Two pipelines, two stages, three micro-batches: worker 0:0 does F0 F1 B0 F2 B1 B2, worker 0:1
// does F0 B0 F1 B1 F2 B2, each a step after.
inline pipeline_job small_job() {
  return {.pipelines = 2, .stages = 2, .microbatches = 3, .costs = {.step = 2}, .transfer = 1};
}

inline constexpr rank_id first = 0, second = 1, other_first = 2;

inline std::vector<rule> rules(std::vector<pipeline_violation> const& found) {
  std::vector<rule> all;
  for (auto const& v : found) all.push_back(v.rule);
  return all;
}

// Ranks with several stages. Two ranks hold four stages in a V: rank 0 stages 0 and 3, rank 1
// stages 1 and 2; two micro-batches, split.
inline pipeline_job v_job() {
  return {.stages = 4, .microbatches = 2, .layout = stage_layout::v_shaped()};
}

inline pipeline_schedule v_plan() {
  auto const step = [](stage_id s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule plan{.staggered_step = true};
  plan.order = {{{F, 0, 0, 0},
                 {F, 0, 0, 1},
                 {F, 0, 3, 0},
                 {I, 0, 3, 0},
                 {F, 0, 3, 1},
                 {I, 0, 3, 1},
                 {W, 0, 3, 0},
                 {W, 0, 3, 1},
                 step(3),
                 {I, 0, 0, 0},
                 {W, 0, 0, 0},
                 {I, 0, 0, 1},
                 {W, 0, 0, 1},
                 step(0)},
                {{F, 0, 1, 0},
                 {F, 0, 2, 0},
                 {F, 0, 1, 1},
                 {F, 0, 2, 1},
                 {I, 0, 2, 0},
                 {I, 0, 1, 0},
                 {I, 0, 2, 1},
                 {I, 0, 1, 1},
                 {W, 0, 2, 0},
                 {W, 0, 2, 1},
                 step(2),
                 {W, 0, 1, 0},
                 {W, 0, 1, 1},
                 step(1)}};
  return plan;
}

// On rank 0, I3(0) next to F3(1).
inline pipeline_schedule paired(std::vector<std::int32_t> pairs) {
  auto plan = v_plan();
  plan.overlapped = {std::move(pairs), {}};
  return plan;
}

}  // namespace shunt::tests::small_schedules
