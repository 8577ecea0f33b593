#pragma once
#include "shunt/problem/per_pipeline.hpp"

#include <algorithm>
#include <utility>

namespace shunt {

SHUNT_CONSTEXPR per_pipeline::per_pipeline(std::vector<std::int32_t> counts)
    : single_(counts.size() == 1), one_(single_ ? counts[0] : 0) {
  if (single_) return;
  list_ = std::move(counts);
  before_.reserve(list_.size() + 1);
  before_.push_back(0);
  for (std::int32_t const count : list_) before_.push_back(before_.back() + count);
}

SHUNT_CONSTEXPR per_pipeline::per_pipeline(std::initializer_list<std::int32_t> counts)
    : per_pipeline(std::vector<std::int32_t>(counts)) {}

SHUNT_CONSTEXPR std::vector<std::int32_t> per_pipeline::values() const {
  if (single_) return {one_};
  return list_;
}

SHUNT_CONSTEXPR std::int32_t per_pipeline::most() const {
  return single_ ? one_ : *std::max_element(list_.begin(), list_.end());
}

SHUNT_CONSTEXPR bool per_pipeline::uniform() const {
  return single_ || std::all_of(list_.begin(), list_.end(),
                                [&](std::int32_t count) { return count == list_.front(); });
}

SHUNT_INLINE std::vector<std::int32_t> even_shares(std::int32_t microbatches, std::size_t parts) {
  auto const n = static_cast<std::int32_t>(parts);
  std::vector<std::int32_t> all(parts, microbatches / n);
  for (std::int32_t i = 0; i < microbatches % n; ++i) ++all[static_cast<std::size_t>(i)];
  return all;
}

}  // namespace shunt
