#pragma once
#include <cstdint>
#include <random>

namespace shunt::tests {

/// The same numbers on every platform.
class random_choices {
 public:
  explicit random_choices(std::uint64_t seed) : engine_(seed) {}
  std::int32_t below(std::int64_t n) {
    return static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(n));
  }
  bool coin() { return below(2) == 1; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace shunt::tests
