#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"

namespace example {

/// All parameters, put together from what ranks know of them. Several may know the same ones: to
/// the bit.
class gathered_parameters {
 public:
  explicit gathered_parameters(std::size_t count) : values_(count, 0.0F), known_(count, false) {}

  /// What a rank says of those from number `first` on. Throws logic_error where another rank said
  /// otherwise.
  void add(shunt::rank_id from, std::size_t first, std::span<float const> values) {
    if (first > values_.size() || values.size() > values_.size() - first)
      throw std::logic_error(named(from) + " knows more parameters than there are");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (known_[first + i] && std::memcmp(&values_[first + i], &values[i], sizeof(float)) != 0)
        throw std::logic_error(named(from) + " has another parameter " + std::to_string(first + i) +
                               " than the ranks before it");
      known_[first + i] = true;
      values_[first + i] = values[i];
    }
  }

  /// Throws runtime_error where nobody knows some.
  [[nodiscard]] std::vector<float> whole() && {
    if (auto const missing = std::find(known_.begin(), known_.end(), false);
        missing != known_.end())
      throw std::runtime_error("no rank that is left knows parameter " +
                               std::to_string(missing - known_.begin()));
    return std::move(values_);
  }

 private:
  [[nodiscard]] static std::string named(shunt::rank_id r) {
    return "rank " + std::to_string(r.value());
  }

  std::vector<float> values_;
  std::vector<bool> known_;
};

}  // namespace example
