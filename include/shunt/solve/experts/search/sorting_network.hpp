#pragma once
#include <cstddef>
#include <cstdint>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Sorts Width keys without a branch on the keys, by a network that the compiler unrolls. Made for
/// short lists in unpredictable order, where a mispredicted branch costs more than the comparisons
/// that it saves. Width is a power of two.
/// Reference: odd-even merge sort, Batcher 1968.
template <std::size_t Width>
struct sorting_network {
  static_assert(Width > 0 && (Width & (Width - 1)) == 0);

  static constexpr void sort(std::uint64_t* keys) {
    if constexpr (Width > 1) {
      sorting_network<Width / 2>::sort(keys);
      sorting_network<Width / 2>::sort(keys + Width / 2);
      merge<1>(keys);
    }
  }

 private:
  template <std::size_t>
  friend struct sorting_network;

  static constexpr void order(std::uint64_t& a, std::uint64_t& b) {
    std::uint64_t const x = a, y = b;
    a = y < x ? y : x;
    b = y < x ? x : y;
  }

  /// Merges every Apart-th key; the two halves of these keys are sorted.
  template <std::size_t Apart>
  static constexpr void merge(std::uint64_t* keys) {
    if constexpr (2 * Apart < Width) {
      merge<2 * Apart>(keys);
      merge<2 * Apart>(keys + Apart);
      for (std::size_t i = Apart; i + Apart < Width; i += 2 * Apart)
        order(keys[i], keys[i + Apart]);
    } else {
      order(keys[0], keys[Apart]);
    }
  }
};

/// Sorts keys, by a network up to 64 keys.
/// Requires room behind the keys up to the next power of two, at least 8 and at most 64; it is
/// filled with the largest key.
SHUNT_CONSTEXPR void sort_keys(std::uint64_t* keys, std::size_t n);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/sorting_network.ipp"
#endif
