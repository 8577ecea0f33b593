#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/check/program_violation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Checks one instruction.
/// Requires that its regions and group are in range.
class opcode_shape {
 public:
  /// `members`: size of the group. `place`: the rank's own place in it. Only for collectives.
  opcode_shape(rank_program const& own, program_point at, std::int64_t members, std::int64_t place,
               program_violations& out);

  void operator()() const;

 private:
  [[nodiscard]] bool takes(std::size_t reads, std::size_t writes) const;
  void same_size(region const& r, byte_count expected) const;
  /// Reports a read operand that isn't the written region.
  /// Returns whether it is.
  [[nodiscard]] bool target(region const& r) const;
  void apart(region const& a, region const& b) const;
  /// Reports an overlap, unless the part lies at its own place in the whole.
  void part_or_apart(region const& part, region const& whole) const;
  void aligned(region const& r) const { multiple(r, size_of(i_.type)); }
  void multiple(region const& r, byte_count of) const;

  instruction const& i_;
  program_point at_;
  std::int64_t members_, place_;
  program_violations& out_;
  std::span<region const> reads_, writes_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/opcode_shape.ipp"
#endif
