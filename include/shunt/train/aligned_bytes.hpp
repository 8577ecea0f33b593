#pragma once
#include <cstddef>
#include <new>
#include <span>
#include <vector>

#include "shunt/core/units.hpp"

namespace shunt {

/// Every buffer of a work starts at a multiple of so many bytes. So vectorised sums are grouped
/// alike on every rank, which equal bits depend on.
inline constexpr std::size_t buffer_alignment = 64;

/// Returns `bytes` rounded up to a whole multiple of the alignment.
[[nodiscard]] constexpr byte_count aligned(byte_count bytes) {
  auto const unit = static_cast<byte_count>(buffer_alignment);
  return ceil_divide(bytes, unit) * unit;
}

/// Allocates at multiples of the alignment. Throws std::bad_alloc.
template <class T>
struct aligned_allocator {
  using value_type = T;
  aligned_allocator() = default;
  template <class U>
  aligned_allocator(aligned_allocator<U> const&) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(buffer_alignment)));
  }
  void deallocate(T* at, std::size_t) { ::operator delete(at, std::align_val_t(buffer_alignment)); }
  template <class U>
  bool operator==(aligned_allocator<U> const&) const {
    return true;
  }
};

/// Memory of one buffer. It starts zeroed.
using aligned_bytes = std::vector<std::byte, aligned_allocator<std::byte>>;

/// Returns the numbers in a piece of a buffer.
/// Requires that it starts at a multiple of T's size. Bytes beyond the last whole T are left out.
template <class T>
[[nodiscard]] std::span<T> as(std::span<std::byte> bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace shunt
