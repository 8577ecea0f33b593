#pragma once
#include "shunt/train/detail/kept_tokens.hpp"

#include "shunt/train/aligned_bytes.hpp"

namespace shunt::detail {

SHUNT_INLINE byte_count kept_tokens::bytes(moe_sizes const& sizes, std::int64_t tokens) {
  auto const word = static_cast<byte_count>(sizeof(float));
  return aligned(tokens * sizes.width * word) + aligned(sizes.kept * word) +
         3 * aligned(tokens * word) +
         aligned(tokens * static_cast<byte_count>(sizeof(std::int64_t)));
}

SHUNT_INLINE kept_tokens kept_tokens::in(std::span<std::byte> part, moe_sizes const& sizes,
                                         std::int64_t tokens) {
  auto const take = [&]<class T>(std::span<T>& to, std::int64_t count) {
    auto const size = static_cast<std::size_t>(count) * sizeof(T);
    to = as<T>(part.first(size));
    part = part.subspan(static_cast<std::size_t>(aligned(static_cast<byte_count>(size))));
  };
  kept_tokens k;
  take(k.input, tokens * sizes.width);
  take(k.own, sizes.kept);
  take(k.gate, tokens);
  take(k.gate_gradient, tokens);
  take(k.expert, tokens);
  take(k.row, tokens);
  return k;
}

}  // namespace shunt::detail
