#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "shunt/core/host_device.hpp"
#include "shunt/program/program.hpp"

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

/// Adds or reduces elements: target[i] = target[i] (+ or max) source[i]. All executors use this
/// arithmetic, so they give the same bits. A reduction over a group is a left fold in the group's
/// order. Integers wrap around. Numbers of 16 bits are added as floats and rounded once. The bytes
/// of `element::bytes` are unsigned. `max` keeps its left operand unless the right one is greater.
/// A sum with a NaN is a NaN, whose bits are unspecified. Requires that both spans have the same
/// size, a multiple of the element's, and do not overlap.
void accumulate(element type, reduction how, std::span<std::byte> target,
                std::span<std::byte const> source);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/elements.ipp"
#endif
