#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

#include "shunt/core/units.hpp"

namespace example {

/// Every buffer starts on a multiple of 64 bytes, so that vectorised sums are grouped alike on
/// every worker.
inline constexpr std::size_t alignment = 64;

/// `bytes` rounded up to whole multiples of the alignment.
[[nodiscard]] constexpr shunt::byte_count aligned(shunt::byte_count bytes) {
  return shunt::ceil_divide(bytes, static_cast<shunt::byte_count>(alignment)) *
         static_cast<shunt::byte_count>(alignment);
}

template <class T>
struct aligned_allocator {
  using value_type = T;
  aligned_allocator() = default;
  template <class U>
  aligned_allocator(aligned_allocator<U> const&) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(alignment)));
  }
  void deallocate(T* at, std::size_t count) {
    ::operator delete(at, count * sizeof(T), std::align_val_t(alignment));
  }
  template <class U>
  bool operator==(aligned_allocator<U> const&) const {
    return true;
  }
};

/// Zeroed memory of one buffer.
using aligned_bytes = std::vector<std::byte, aligned_allocator<std::byte>>;

/// The numbers that lie in a piece of a buffer. Its start and size must be multiples of the size of
/// T.
template <class T>
[[nodiscard]] std::span<T> as(std::span<std::byte> bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace example
