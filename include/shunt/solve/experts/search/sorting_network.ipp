#pragma once
#include "shunt/solve/experts/search/sorting_network.hpp"

#include <algorithm>

namespace shunt::detail {

SHUNT_CONSTEXPR void sort_keys(std::uint64_t* keys, std::size_t n) {
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
