#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Builds a rank's list anew from an old one. Old instructions keep their regions. Their waits
/// refer to the new places.
class list_rewriter {
 public:
  explicit list_rewriter(rank_program const& old);

  /// Appends an old instruction to the new list. `change(instruction, waits)` may alter it.
  /// Returns its new place.
  template <class Change>
  std::int32_t move(std::int32_t n, Change&& change) {
    auto i = old_.instructions[static_cast<std::size_t>(n)];
    std::vector<std::int32_t> after = waits_of(n);
    change(i, after);
    return now_[static_cast<std::size_t>(n)] = put(i, after);
  }
  std::int32_t move(std::int32_t n);
  /// Appends a new instruction.
  /// Returns its place.
  std::int32_t add(instruction i, std::initializer_list<region> reads,
                   std::initializer_list<region> writes,
                   std::vector<std::int32_t> const& after = {}, region const& condition = {});
  /// Appends a compute instruction with named operands (lower/operands.hpp).
  /// Returns its place.
  template <class Operands>
  std::int32_t compute(operation const& op, Operands const& on,
                       std::vector<std::int32_t> const& after, region const& condition = {}) {
    instruction i{.op = op};
    i.reads = regions(on.reads());
    i.writes = regions(on.writes());
    return add(i, after, condition);
  }
  slice regions(std::span<region const> items);
  /// Enlarges a buffer by `size` bytes at a multiple of 8.
  /// Returns the region of these bytes.
  region extend(buffer_id b, byte_count size);
  [[nodiscard]] std::int32_t place_of(std::int32_t n) const;
  /// Returns the new places of the instructions that an old one waits for. An instruction that
  /// isn't placed yet is represented by the last one of its lane.
  [[nodiscard]] std::vector<std::int32_t> waits_of(std::int32_t n) const;
  /// Returns the last instruction of every other lane.
  [[nodiscard]] std::vector<std::int32_t> ends_of_other_lanes(std::uint8_t lane) const;

  rank_program out{};

 private:
  std::int32_t add(instruction i, std::vector<std::int32_t> const& after, region const& condition);
  std::int32_t put(instruction& i, std::vector<std::int32_t> const& after);

  rank_program const& old_;
  std::vector<std::int32_t> now_;  // new place of an old instruction
  std::array<std::int32_t, 256> last_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/list_rewriter.ipp"
#endif
