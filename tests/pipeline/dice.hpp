#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt_tests {

/// Random cases that are the same on every platform.
class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  shunt::per_stage costs(std::int32_t stages, std::int32_t low, std::int32_t high) {
    std::vector<shunt::ticks> each;
    for (std::int32_t s = 0; s < stages; ++s) each.push_back(roll(low, high));
    return shunt::per_stage(std::move(each));
  }

 private:
  std::mt19937_64 engine_;
};

/// Violations, one a line.
std::string lines(auto const& all) {
  std::string text;
  for (auto const& v : all) text += to_string(v) + "\n";
  return text;
}

}  // namespace shunt_tests
