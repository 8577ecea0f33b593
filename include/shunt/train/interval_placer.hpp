#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/train/moe_run.hpp"

namespace shunt {

/// Places with another placer in every k-th call only; in between the plan stands. A moe_run calls
/// before the first iteration and after each, so that experts move before iterations 0, k, 2 k, ...
/// The placer is also asked when slots have changed, or if it had no plan the last time.
/// With flexmoe this is FlexMoE as SYMI runs it, every 10, 50 or 100 iterations.
/// Throws invalid_problem from its constructor if the interval is below 1.
template <expert_placer Placer>
class interval_placer {
 public:
  explicit interval_placer(Placer place, std::int64_t interval)
      : place_(std::move(place)), interval_(interval) {
    if (interval < 1)
      throw invalid_problem("interval", "must be at least 1, is " + std::to_string(interval));
  }

  /// Returns the plan in force.
  /// Throws what the placer throws.
  solution<expert_placement> operator()(expert_layers const& layers) {
    if (calls_++ % interval_ == 0 || !placed_.has_plan() ||
        layers.slots_per_rank != slots_per_rank_) {
      placed_ = place_(layers);
      slots_per_rank_ = layers.slots_per_rank;
    }
    return placed_;
  }

 private:
  Placer place_;
  std::int64_t interval_;
  std::int64_t calls_ = 0;
  std::vector<std::int32_t> slots_per_rank_{};
  solution<expert_placement> placed_{};
};

}  // namespace shunt
