#pragma once
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt {

/// Solves the assignment problem: gives each of n rows a column of its own such that the sum of
/// gain(row, column) is largest. Exact. Ties go to the lowest column.
/// Shortest augmenting paths with potentials: rows are added one by one, and Dijkstra's algorithm
/// over the reduced costs finds the path that frees a column. A call allocates only if n is larger
/// than in all calls before.
/// Requires n x (largest - smallest gain) below 2^62.
/// Complexity: O(n^3).
/// Reference: Kuhn 1955; Jonker and Volgenant 1987.
class assignment {
 public:
  /// Solves for `gains`, n x n values, row by row.
  /// Returns the column of each row, valid until the next call.
  SHUNT_CONSTEXPR std::span<std::size_t const> operator()(std::span<std::int64_t const> gains,
                                                          std::size_t n);

 private:
  std::vector<std::int64_t> row_price_{}, column_price_{}, distance_{};
  std::vector<std::size_t> row_of_{}, column_of_{}, came_from_{};
  std::vector<char> done_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/assignment.ipp"
#endif
