#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// All parameters of a model, put together from what each rank holds of them. Where several ranks
/// hold the same ones, they must agree to the bit.
class gathered_parameters {
 public:
  explicit gathered_parameters(std::size_t count) : values_(count, 0.0F), known_(count, false) {}

  /// Adds what a rank holds, from parameter number `first` on.
  /// Throws logic_error where another rank holds other bits, or there are fewer parameters.
  void add(rank_id from, std::size_t first, std::span<float const> values);

  /// Returns all of them.
  /// Throws runtime_error where one is missing.
  [[nodiscard]] std::vector<float> whole() &&;

 private:
  std::vector<float> values_;
  std::vector<bool> known_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/gathered_parameters.ipp"
#endif
