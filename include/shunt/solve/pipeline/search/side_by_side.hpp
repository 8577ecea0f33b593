#pragma once
/// Table of lists in which the k-th entries of a group's lists lie side by side, as its ranks,
/// which run at the same time, read and write them: thousands of ranks then go through the table as
/// one.
///
/// A group whose longest list is much longer than the others has its lists one behind the other.
/// Complexity: linear in the lists; at most a fifth of the table is empty.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shunt::detail {

/// The entries of one list: `stride` apart.
struct column {
  std::size_t first = 0, stride = 1;
  [[nodiscard]] std::size_t operator[](std::int32_t place) const {
    return first + stride * static_cast<std::size_t>(place);
  }
  /// Returns the place of an entry of this list.
  [[nodiscard]] std::size_t place_of(std::size_t entry) const { return (entry - first) / stride; }
};

/// A list before it has a place in the table.
struct grouped_list {
  std::int32_t group = 0, entries = 0;
};

/// The columns of lists, and how many entries the table needs.
struct side_by_side {
  std::vector<column> columns{};
  std::size_t entries = 0;

  /// Requires groups numbered from 0 to below `groups`.
  side_by_side(std::vector<grouped_list> const& lists, std::size_t groups);
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/side_by_side.ipp"
#endif
