#pragma once
#include "shunt/solve/experts/uniform.hpp"

#include <cstddef>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> uniform::operator()(expert_layers const& problem) const {
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
