#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace shunt::detail {

/// Sorts without a branch on the keys: Batcher's odd-even merge sort (1968), its comparisons laid
/// out by the compiler. For short lists whose order can't be guessed, where a mispredicted branch
/// costs more than the comparisons it saves. Width is a power of two.
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

  /// Every Apart-th key, whose first and second half are sorted.
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

/// Keys sorted, by a network up to 64. They are followed by room up to the next power of two, which
/// is filled with the largest key.
constexpr void sort_keys(std::uint64_t* keys, std::size_t n) {
  auto const by = [&]<std::size_t Width>(sorting_network<Width>) {
    for (std::size_t i = n; i < Width; ++i) keys[i] = ~std::uint64_t{0};
    sorting_network<Width>::sort(keys);
  };
  if (n <= 8) return by(sorting_network<8>{});
  if (n <= 16) return by(sorting_network<16>{});
  if (n <= 32) return by(sorting_network<32>{});
  if (n <= 64) return by(sorting_network<64>{});
  std::sort(keys, keys + n);
}

}  // namespace shunt::detail
