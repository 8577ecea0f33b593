#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/train/moe_model.hpp"

namespace shunt::detail {

/// What a layer keeps of a micro-batch's tokens until the backward of their routing, in one buffer
/// of host or device. Every array starts at a multiple of 64 bytes.
struct kept_tokens {
  std::span<float> input{};  ///< what experts take
  std::span<float> own{};    ///< what the model keeps
  std::span<float> gate{}, gate_gradient{};
  std::span<std::int32_t> expert{};
  std::span<std::int64_t> row{};  ///< where the token travels; -1 where it is dropped

  [[nodiscard]] static byte_count bytes(moe_sizes const& sizes, std::int64_t tokens);
  [[nodiscard]] static kept_tokens in(std::span<std::byte> part, moe_sizes const& sizes,
                                      std::int64_t tokens);
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/train/detail/kept_tokens.ipp"
#endif
