#pragma once
#include "shunt/solve/experts/swift_moe.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> swift_moe::operator()(
    expert_layers const& problem) const {
  validate(problem);
  auto answer = unplaced(problem);
  if (!answer.has_plan()) return answer;
  auto const experts = static_cast<std::size_t>(problem.experts);
  std::vector<std::int32_t> counts(experts, 0);
  std::vector<std::int64_t> scratch(2 * experts, 0);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    swift_moe_counts(problem.loads_of(l).data(), problem.experts, answer.plan.slots(),
                     counts.data(), scratch.data());
    auto at = answer.plan.layer(l).begin();
    for (std::size_t e = 0; e < experts; ++e)
      for (std::int32_t k = 0; k < counts[e]; ++k) *at++ = e;
  }
  return evaluated(problem, std::move(answer.plan));
}

}  // namespace shunt
