#pragma once
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include "shunt/core/host_device.hpp"
#include "shunt/program/program.hpp"

/// The arithmetic of add and of the reductions: target[i] = target[i] (+ or max) source[i]. It is
/// written once, so that every executor gives the same bits. A reduction over a group is a left
/// fold in the group's order; integers wrap around, the bytes of `element::bytes` count as
/// unsigned, and max keeps its left operand unless the right one is greater. Of a sum with a NaN it
/// is only said that it is a NaN.
namespace shunt {

namespace detail {

template <class T>
[[nodiscard]] SHUNT_HD constexpr T combined(reduction how, T a, T b) {
  if (how == reduction::max) return a < b ? b : a;
  if constexpr (std::integral<T>) {
    using wide = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<wide>(static_cast<wide>(a) + static_cast<wide>(b)));
  } else {
    return a + b;
  }
}

template <class T>
void accumulate_as(reduction how, std::span<std::byte> target, std::span<std::byte const> source) {
  auto const loop = [&](auto chosen) {
    for (std::size_t at = 0; at + sizeof(T) <= target.size(); at += sizeof(T)) {
      T a, b;
      std::memcpy(&a, target.data() + at, sizeof(T));
      std::memcpy(&b, source.data() + at, sizeof(T));
      a = combined(chosen(), a, b);
      std::memcpy(target.data() + at, &a, sizeof(T));
    }
  };
  if (how == reduction::sum)
    loop([] { return reduction::sum; });
  else
    loop([] { return reduction::max; });
}

}  // namespace detail

/// Both spans have the same size, a multiple of the element's, and don't overlap.
void accumulate(element type, reduction how, std::span<std::byte> target,
                std::span<std::byte const> source);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/elements.ipp"
#endif
