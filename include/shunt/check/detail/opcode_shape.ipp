#pragma once
#include "shunt/check/detail/opcode_shape.hpp"

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR bool share_bytes(region const& a, region const& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

SHUNT_INLINE opcode_shape::opcode_shape(rank_program const& own, program_point at,
                                        std::int64_t members, std::int64_t place,
                                        program_violations& out)
    : i_(own.instructions[static_cast<std::size_t>(at.instruction)]),
      at_(at),
      members_(members),
      place_(place),
      out_(out),
      reads_(own.reads(i_)),
      writes_(own.writes(i_)) {}

SHUNT_INLINE void opcode_shape::operator()() const {
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

SHUNT_INLINE bool opcode_shape::takes(std::size_t reads, std::size_t writes) const {
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

SHUNT_INLINE void opcode_shape::same_size(region const& r, byte_count expected) const {
  if (r.size != expected)
    out_.push_back(
        {.rule = program_rule::size, .at = at_, .where = r, .found = r.size, .expected = expected});
}

SHUNT_INLINE bool opcode_shape::target(region const& r) const {
  if (r != writes_[0]) out_.push_back({.rule = program_rule::overlap, .at = at_, .where = r});
  return r == writes_[0];
}

SHUNT_INLINE void opcode_shape::apart(region const& a, region const& b) const {
  if (share_bytes(a, b)) out_.push_back({.rule = program_rule::overlap, .at = at_, .where = b});
}

SHUNT_INLINE void opcode_shape::part_or_apart(region const& part, region const& whole) const {
  if (part != region{whole.buffer, whole.offset + place_ * part.size, part.size})
    apart(part, whole);
}

SHUNT_INLINE void opcode_shape::multiple(region const& r, byte_count of) const {
  if (r.offset % of != 0 || r.size % of != 0)
    out_.push_back({.rule = program_rule::alignment, .at = at_, .where = r, .expected = of});
}

}  // namespace shunt::detail
