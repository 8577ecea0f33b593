#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace example {

/// FNV-1a with 64 bits (Fowler, Noll and Vo) over the bytes of parameters: one number to compare
/// where parameters are far apart.
[[nodiscard]] inline std::uint64_t hash_of(std::span<float const> parameters) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::byte const b : std::as_bytes(parameters))
    hash = (hash ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return hash;
}
/// Of all stages: that of their hashes, in order.
[[nodiscard]] inline std::uint64_t hash_of(std::vector<std::uint64_t> const& stages) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::byte const b : std::as_bytes(std::span(stages)))
    hash = (hash ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return hash;
}

}  // namespace example
