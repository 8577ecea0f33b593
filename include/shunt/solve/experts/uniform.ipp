#pragma once
#include "shunt/solve/experts/uniform.hpp"

#include <cstddef>
#include <string_view>
#include <utility>

#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/solver.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> uniform::operator()(
      expert_layers const& problem) const {
    validate(problem);
    auto answer = unplaced(problem);
    if (!answer.has_plan()) return answer;
    for (layer_id l : ids<layer_id>(problem.layers)) {
      auto const slots = answer.plan.layer(l);
      for (std::size_t k = 0; k < slots.size(); ++k)
        slots[k] = k % static_cast<std::size_t>(problem.experts);
    }
    return evaluated(problem, std::move(answer.plan));
  }

}  // namespace shunt
