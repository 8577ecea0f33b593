#pragma once
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// Bytes that a program moves, summed over all ranks.
struct moved_bytes {
  byte_count network = 0;  ///< Between ranks: messages, and collectives as rings move them.
  /// Copied or added between two buffers of a rank, except additions of data just received.
  byte_count local = 0;
  /// Copied or added inside one buffer: a rank's instances of an expert summed or filled.
  byte_count within = 0;

  /// Returns the bytes between holders of data, on one rank or two: s N G and s N W in SYMI's
  /// phases; G and W times the distinct (rank, expert) pairs if messages are de-duplicated.
  [[nodiscard]] constexpr byte_count logical() const { return network + local; }
  bool operator==(moved_bytes const&) const = default;
};

/// Returns the bytes that the instructions of p move. A group of k ranks moves 2 (k-1) X in an
/// all_reduce of X bytes per member, and (k-1) X in a reduce_scatter or all_gather of X bytes in
/// total. Exchanges are not counted: their sizes are known only at run time. The source of an
/// addition was just received if the latest earlier instruction that wrote any of its bytes is a
/// receive.
/// Complexity: O(instructions + the sum over additions of the instructions before them on the
/// rank).
[[nodiscard]] SHUNT_CONSTEXPR moved_bytes bytes_moved(program const& p);

/// Returns the bytes that messages carry over each link, in entry `from` x ranks + `to`.
/// Collectives and exchanges are not counted: the executor chooses their links.
/// Complexity: O(instructions).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<byte_count> message_bytes(program const& p);

/// Returns the bytes of the messages that ranks had received when they had come so far in their
/// first run of p.
/// Complexity: O(instructions).
[[nodiscard]] SHUNT_CONSTEXPR byte_count bytes_received(program const& p,
                                                        indexed<rank_id, progress> const& done);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/moved_bytes.ipp"
#endif
