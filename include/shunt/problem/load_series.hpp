#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// Expert loads recorded over a training run, one window after another, the oldest first. A window
/// is one snapshot, for example one iteration.
struct load_series {
  std::int32_t layers = 1;
  std::int32_t experts = 1;  ///< E, expert classes of a layer
  /// windows x layers x experts: tokens routed to each expert, before any is dropped.
  std::vector<std::int64_t> loads{};
  /// The iteration of each window, ascending. Empty: 0, 1, 2 ...
  std::vector<std::int64_t> iterations{};

  [[nodiscard]] SHUNT_CONSTEXPR std::size_t cells() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t windows() const;
  /// Returns the loads of a window, layers x experts.
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int64_t const> window(std::int32_t w) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int64_t const> loads_of(std::int32_t w,
                                                                       layer_id l) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t iteration(std::int32_t w) const;
  /// Returns the windows recorded at iterations first .. last, both included.
  [[nodiscard]] SHUNT_CONSTEXPR load_series between(std::int64_t first, std::int64_t last) const;
  bool operator==(load_series const&) const = default;
};

/// Throws invalid_problem, which names field, window, layer and value, where a size isn't positive,
/// there is no window or an incomplete one, iterations differ in number from the windows or don't
/// ascend, a load is negative, or the sum of a layer exceeds 62 bits.
SHUNT_CONSTEXPR void validate(load_series const& s);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/load_series.ipp"
#endif
