#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Rules of a program. Each is described by its violation.
enum class program_rule : std::uint8_t {
  table,   ///< a slice exceeds its table, or a buffer has a negative size
  group,   ///< a group is empty, names a rank that doesn't exist, or names one twice
  region,  ///< a region exceeds its buffer, or its buffer doesn't exist
  shape,   ///< wrong number of regions for the opcode (found, expected)
  size,    ///< sizes of an instruction's regions don't fit each other (found, expected; bytes)
  /// A region doesn't begin and end between elements (expected: the element's size).
  alignment,
  overlap,            ///< source and target of an instruction share bytes
  peer,               ///< a message to or from its own rank or a rank that doesn't exist
  channel,            ///< a channel below 0; those are reserved for collectives
  membership,         ///< a collective over a group that doesn't exist or that lacks this rank
  wait,               ///< `after` names an instruction that doesn't precede this one
  batch,              ///< members of a batch are apart, on several lanes, or not communication
  unmatched_message,  ///< a send without a receive, or a receive without a send
  message_size,       ///< a send of `found` bytes and its receive of `expected` bytes
  missing_member,     ///< a collective that `other.rank` never joins
  /// Members' n-th collectives of a group differ in opcode, element, reduction or size.
  collective_mismatch,
  /// With one thread per rank in list order and buffered sends, this instruction never starts.
  deadlock,
  /// Two messages of one peer and channel, or two collectives of one group: their lanes leave the
  /// order open.
  unordered_messages,
  unwritten,  ///< reads bytes that no earlier instruction wrote
  /// A condition isn't an int64, or only one party of a message or a collective has a condition.
  condition,
  race,        ///< two instructions without an order access the same bytes, and one writes
  rendezvous,  ///< this instruction never completes where every send waits for its receive
  /// A message sent as number `found` and received as number `expected`, on another channel.
  overtaken,
};

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(program_rule r);

/// One violation of a rule, and its place. Fields that a rule doesn't use keep their defaults.
struct program_violation {
  /// Instruction number of violations in the rank's tables or the program's groups.
  static constexpr std::int32_t whole = -1;

  program_rule rule = program_rule::table;
  program_point at{};
  program_point other{-1, whole};  ///< the other party, where there is one
  region where{};
  std::int64_t found = 0;
  std::int64_t expected = 0;

  bool operator==(program_violation const&) const = default;
};

using program_violations = std::vector<program_violation>;

/// Returns one line, for example "rank 1, instruction 5: message_size: 64 instead of 32 (with rank
/// 2, instruction 7)".
[[nodiscard]] std::string to_string(program_violation const& v);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_violation.ipp"
#endif
