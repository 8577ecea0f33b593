#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Sorts Width keys without a branch on the keys, by a network without a loop or a call. Made for
/// short lists in unpredictable order, where a mispredicted branch costs more than the comparisons
/// that it saves. Width is a power of two. The functions are inlined by attribute: at -O2 compilers
/// leave calls in the network, which then takes twice the time.
/// Reference: odd-even merge sort, Batcher 1968.
template <std::size_t Width>
struct sorting_network {
  static_assert(Width > 0 && (Width & (Width - 1)) == 0);

  [[gnu::always_inline]] static constexpr void sort(std::uint64_t* keys) {
    if constexpr (Width > 1) {
      sorting_network<Width / 2>::sort(keys);
      sorting_network<Width / 2>::sort(keys + Width / 2);
      merge<1>(keys);
    }
  }

 private:
  template <std::size_t>
  friend struct sorting_network;

  [[gnu::always_inline]] static constexpr void order(std::uint64_t& a, std::uint64_t& b) {
    std::uint64_t const less = b < a ? b : a, more = b < a ? a : b;
    a = less;
    b = more;
  }

  template <std::size_t Apart, std::size_t... N>
  [[gnu::always_inline]] static constexpr void order_between(std::uint64_t* keys,
                                                             std::index_sequence<N...>) {
    (order(keys[(2 * N + 1) * Apart], keys[(2 * N + 2) * Apart]), ...);
  }

  /// Merges every Apart-th key; the two halves of these keys are sorted.
  template <std::size_t Apart>
  [[gnu::always_inline]] static constexpr void merge(std::uint64_t* keys) {
    if constexpr (2 * Apart < Width) {
      merge<2 * Apart>(keys);
      merge<2 * Apart>(keys + Apart);
      order_between<Apart>(keys, std::make_index_sequence<Width / (2 * Apart) - 1>{});
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
