#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/check/program_violation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

[[nodiscard]] constexpr bool share_bytes(region const& a, region const& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

/// Checks one instruction.
/// Requires that its regions and group are in range.
class opcode_shape {
 public:
  /// `members`: size of the group. `place`: the rank's own place in it. Only for collectives.
  opcode_shape(rank_program const& own, program_point at, std::int64_t members, std::int64_t place,
               program_violations& out)
      : i_(own.instructions[static_cast<std::size_t>(at.instruction)]),
        at_(at),
        members_(members),
        place_(place),
        out_(out),
        reads_(own.reads(i_)),
        writes_(own.writes(i_)) {}

  void operator()() const {
    switch (i_.code) {
      case opcode::compute: break;
      case opcode::send: (void)takes(1, 0); break;
      case opcode::receive:
      case opcode::fill: (void)takes(0, 1); break;
      case opcode::copy:
        if (takes(1, 1)) {
          same_size(reads_[0], writes_[0].size);
          apart(reads_[0], writes_[0]);
        }
        break;
      case opcode::add:
        if (takes(2, 1) && target(reads_[1])) {
          same_size(reads_[0], writes_[0].size);
          apart(reads_[0], writes_[0]);
          aligned(reads_[0]);
          aligned(writes_[0]);
        }
        break;
      case opcode::all_reduce:
        if (takes(1, 1) && target(reads_[0])) aligned(writes_[0]);
        break;
      case opcode::reduce_scatter:
        if (takes(1, 1)) {
          same_size(reads_[0], members_ * writes_[0].size);
          part_or_apart(writes_[0], reads_[0]);
          aligned(reads_[0]);
          aligned(writes_[0]);
        }
        break;
      case opcode::all_gather:
        if (takes(1, 1)) {
          same_size(writes_[0], members_ * reads_[0].size);
          part_or_apart(reads_[0], writes_[0]);
        }
        break;
      case opcode::exchange:
        if (takes(2, 2)) {
          constexpr std::int64_t word = 8;
          same_size(writes_[0], reads_[0].size);
          same_size(reads_[0], reads_[0].size / members_ * members_);
          for (region const& counts : {reads_[1], writes_[1]}) {
            same_size(counts, word * members_);
            multiple(counts, word);
          }
          for (auto const& r : reads_)
            for (auto const& w : writes_) apart(r, w);
          apart(writes_[0], writes_[1]);
        }
        break;
    }
  }

 private:
  [[nodiscard]] bool takes(std::size_t reads, std::size_t writes) const {
    auto const refuse = [&](std::size_t found, std::size_t expected) {
      if (found != expected)
        out_.push_back({.rule = program_rule::shape,
                        .at = at_,
                        .found = static_cast<std::int64_t>(found),
                        .expected = static_cast<std::int64_t>(expected)});
      return found == expected;
    };
    return refuse(reads_.size(), reads) && refuse(writes_.size(), writes);
  }
  void same_size(region const& r, byte_count expected) const {
    if (r.size != expected)
      out_.push_back({.rule = program_rule::size,
                      .at = at_,
                      .where = r,
                      .found = r.size,
                      .expected = expected});
  }
  /// Reports a read operand that isn't the written region.
  /// Returns whether it is.
  [[nodiscard]] bool target(region const& r) const {
    if (r != writes_[0]) out_.push_back({.rule = program_rule::overlap, .at = at_, .where = r});
    return r == writes_[0];
  }
  void apart(region const& a, region const& b) const {
    if (share_bytes(a, b)) out_.push_back({.rule = program_rule::overlap, .at = at_, .where = b});
  }
  /// Reports an overlap, unless the part lies at its own place in the whole.
  void part_or_apart(region const& part, region const& whole) const {
    if (part != region{whole.buffer, whole.offset + place_ * part.size, part.size})
      apart(part, whole);
  }
  void aligned(region const& r) const { multiple(r, size_of(i_.type)); }
  void multiple(region const& r, byte_count of) const {
    if (r.offset % of != 0 || r.size % of != 0)
      out_.push_back({.rule = program_rule::alignment, .at = at_, .where = r, .expected = of});
  }

  instruction const& i_;
  program_point at_;
  std::int64_t members_, place_;
  program_violations& out_;
  std::span<region const> reads_, writes_;
};

}  // namespace shunt::detail
