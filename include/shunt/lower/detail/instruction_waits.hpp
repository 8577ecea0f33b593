#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/program/builder.hpp"

namespace shunt::detail {

/// The instructions of other lanes that one instruction waits for: at most six, each once.
struct instruction_waits {
  static constexpr std::int32_t none = -1;

  std::array<std::int32_t, 6> list{};
  std::size_t count = 0;

  /// Adds an instruction, unless it is `none` or in the list already.
  SHUNT_CONSTEXPR void add(std::int32_t i);

  /// Calls `emit(placing)` with these waits on a lane.
  /// Returns its result.
  template <class Emit>
  constexpr std::int32_t place(std::uint8_t lane, Emit&& emit) const {
    switch (count) {
      case 0: return emit(placing{.lane = lane});
      case 1: return emit(placing{.lane = lane, .after = {list[0]}});
      case 2: return emit(placing{.lane = lane, .after = {list[0], list[1]}});
      case 3: return emit(placing{.lane = lane, .after = {list[0], list[1], list[2]}});
      case 4: return emit(placing{.lane = lane, .after = {list[0], list[1], list[2], list[3]}});
      case 5:
        return emit(placing{.lane = lane, .after = {list[0], list[1], list[2], list[3], list[4]}});
      default:
        return emit(
            placing{.lane = lane, .after = {list[0], list[1], list[2], list[3], list[4], list[5]}});
    }
  }
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/instruction_waits.ipp"
#endif
