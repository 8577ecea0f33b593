#pragma once
#include "shunt/train/gathered_parameters.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace shunt {

SHUNT_INLINE void gathered_parameters::add(rank_id from, std::size_t first,
                                           std::span<float const> values) {
  auto const rank = [&] { return "rank " + std::to_string(from.value()); };
  if (first > values_.size() || values.size() > values_.size() - first)
    throw std::logic_error(rank() + " knows more parameters than there are");
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (known_[first + i] && std::memcmp(&values_[first + i], &values[i], sizeof(float)) != 0)
      throw std::logic_error(rank() + " has another parameter " + std::to_string(first + i) +
                             " than the ranks before it");
    known_[first + i] = true;
    values_[first + i] = values[i];
  }
}

SHUNT_INLINE std::vector<float> gathered_parameters::whole() && {
  if (auto const missing = std::find(known_.begin(), known_.end(), false); missing != known_.end())
    throw std::runtime_error("no rank that is left knows parameter " +
                             std::to_string(missing - known_.begin()));
  return std::move(values_);
}

}  // namespace shunt
