#pragma once
#include "shunt/execute/elements.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "shunt/core/config.hpp"
#include "shunt/core/float16.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

SHUNT_INLINE void accumulate(element type, reduction how, std::span<std::byte> target,
                             std::span<std::byte const> source) {
  switch (type) {
    case element::bytes: return detail::accumulate_as<std::uint8_t>(how, target, source);
    case element::int32: return detail::accumulate_as<std::int32_t>(how, target, source);
    case element::int64: return detail::accumulate_as<std::int64_t>(how, target, source);
    case element::float32: return detail::accumulate_as<float>(how, target, source);
    case element::float64: return detail::accumulate_as<double>(how, target, source);
    case element::bfloat16: return detail::accumulate_as<bfloat16>(how, target, source);
    case element::float16: return detail::accumulate_as<float16>(how, target, source);
  }
}

}  // namespace shunt
