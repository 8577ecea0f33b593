#pragma once
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt::tests {

/// Random cases that are the same on every platform.
class random_cases {
 public:
  explicit random_cases(std::uint64_t seed) : engine_(seed) {}
  /// Returns a number from `low` to `high`, both included.
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  /// Returns a cost from `low` to `high` for each stage.
  per_stage costs(std::int32_t stages, std::int32_t low, std::int32_t high) {
    std::vector<ticks> each;
    for (std::int32_t s = 0; s < stages; ++s) each.push_back(roll(low, high));
    return per_stage(std::move(each));
  }

 private:
  std::mt19937_64 engine_;
};

/// Returns a number from 0 to `bound` - 1. The standard distributions differ between libraries.
inline std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

}  // namespace shunt::tests
