#pragma once
#include "shunt/solve/assignment.hpp"

#include <limits>

namespace shunt {

SHUNT_CONSTEXPR std::span<std::size_t const> assignment::operator()(
    std::span<std::int64_t const> gains, std::size_t n) {
  assert(gains.size() == n * n);
  constexpr auto far = std::numeric_limits<std::int64_t>::max();
  std::size_t const none = n;
  row_price_.assign(n, 0);
  column_price_.assign(n + 1, 0);
  row_of_.assign(n + 1, n);  // row_of_[n]: the row being added
  column_of_.assign(n, n);
  came_from_.assign(n, n);
  for (std::size_t added = 0; added < n; ++added) {
    distance_.assign(n + 1, far);
    done_.assign(n + 1, 0);
    std::size_t at = none;
    for (row_of_[at] = added; row_of_[at] != none;) {
      done_[at] = 1;
      std::size_t const row = row_of_[at];
      std::int64_t least = far;
      std::size_t nearest = none;
      for (std::size_t c = 0; c < n; ++c) {
        if (done_[c]) continue;
        std::int64_t const reduced = -gains[row * n + c] - row_price_[row] - column_price_[c];
        if (reduced < distance_[c]) {
          distance_[c] = reduced;
          came_from_[c] = at;
        }
        if (distance_[c] < least) {
          least = distance_[c];
          nearest = c;
        }
      }
      for (std::size_t c = 0; c <= n; ++c) {
        if (done_[c]) {
          row_price_[row_of_[c]] += least;
          column_price_[c] -= least;
        } else {
          distance_[c] -= least;
        }
      }
      at = nearest;
    }
    // each row of the path takes the next column of the path
    while (at != none) {
      std::size_t const before = came_from_[at];
      row_of_[at] = row_of_[before];
      at = before;
    }
  }
  for (std::size_t c = 0; c < n; ++c) column_of_[row_of_[c]] = c;
  return column_of_;
}

}  // namespace shunt
