#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/train/moe_run.hpp"

namespace shunt {

/// Places the experts anywhere, elsewhere in each call: every expert in some slot, the other slots
/// at random, all shuffled. A training whose results depend on where experts are shows it with this
/// placer. Equal seeds give equal placements.
/// Throws what uniform throws.
class random_placer {
 public:
  explicit random_placer(std::uint64_t seed) : random_(seed) {}

  solution<expert_placement> operator()(expert_layers const& layers) {
    auto answer = uniform{}(layers);  // its slots
    auto const experts = static_cast<std::size_t>(layers.experts);
    for (layer_id l : ids<layer_id>(answer.plan.layers)) {
      auto const slots = answer.plan.layer(l);
      for (std::size_t k = 0; k < slots.size(); ++k) slots[k] = k < experts ? k : below(experts);
      for (std::size_t k = slots.size(); k > 1; --k) std::swap(slots[k - 1], slots[below(k)]);
    }
    return answer;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  std::mt19937_64 random_;
};
static_assert(expert_placer<random_placer>);

}  // namespace shunt
