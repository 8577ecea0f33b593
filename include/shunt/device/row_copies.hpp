#pragma once
/// Copies of rows by the threads of a device, and rows by a permutation.
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// A copy between two ranges that do not overlap. Does nothing where `bytes` is 0.
struct row_copy {
  unsigned char const* from = nullptr;
  unsigned char* to = nullptr;
  std::int64_t bytes = 0;
};

namespace detail {

/// 16 bytes that a GPU loads and stores in one access.
template <class T>
struct alignas(16) vector_of {
  static constexpr std::int32_t size = 16 / sizeof(T);
  T at[size];
};

/// Copies the vectors `thread`, `thread + threads`, .. of n, four in flight at a time.
template <class Vector>
SHUNT_HD void copy_vectors(unsigned char const* from, unsigned char* to, std::int64_t n,
                           std::int64_t thread, std::int64_t threads) {
  auto const* const source = reinterpret_cast<Vector const*>(from);
  auto* const target = reinterpret_cast<Vector*>(to);
  std::int64_t i = thread;
  for (; i + 3 * threads < n; i += 4 * threads) {
    Vector const a = source[i], b = source[i + threads], c = source[i + 2 * threads],
                 d = source[i + 3 * threads];
    target[i] = a;
    target[i + threads] = b;
    target[i + 2 * threads] = c;
    target[i + 3 * threads] = d;
  }
  for (; i < n; i += threads) target[i] = source[i];
}

/// Copies one thread's part of a row that `threads` threads share, in the widest vectors that
/// alignment and size allow.
SHUNT_HD inline void copy_row(row_copy const& row, std::int64_t thread, std::int64_t threads) {
  auto const odd = reinterpret_cast<std::uintptr_t>(row.from) |
                   reinterpret_cast<std::uintptr_t>(row.to) |
                   static_cast<std::uintptr_t>(row.bytes);
  if (odd % 16 == 0)
    copy_vectors<vector_of<std::uint32_t>>(row.from, row.to, row.bytes / 16, thread, threads);
  else if (odd % 4 == 0)
    copy_vectors<std::uint32_t>(row.from, row.to, row.bytes / 4, thread, threads);
  else
    copy_vectors<unsigned char>(row.from, row.to, row.bytes, thread, threads);
}

}  // namespace detail

/// Permutes rows: row `source_of[i] / copies` becomes row i. A row without a source (-1) stays as
/// it is.
/// For token dispatch `source_of` is dispatch_tokens' permutation and `copies` the number of
/// experts a token.
struct gather_rows {
  unsigned char const* from = nullptr;
  unsigned char* to = nullptr;
  std::int64_t row_bytes = 0;
  std::int32_t const* source_of = nullptr;
  std::int32_t copies = 1;

  SHUNT_HD void operator()(std::int32_t row, std::int64_t thread, std::int64_t threads) const {
    std::int32_t const source = source_of[row];
    if (source < 0) return;
    detail::copy_row({from + source / copies * row_bytes, to + row * row_bytes, row_bytes}, thread,
                     threads);
  }
};

}  // namespace shunt
