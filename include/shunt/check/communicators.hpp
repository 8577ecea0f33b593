#pragma once
/// Limits of the collectives in one layer's gradient collection: a communicator exists only for an
/// interval of neighbouring ranks, a rank is in at most two, and two rounds suffice.
/// Reference: SYMI (arXiv 2504.19925), section 4.2.
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One error in the groups of a program, or in the order of its collectives.
struct communicator_violation {
  enum class kind : std::uint8_t {
    gap,           ///< the members of the group are no interval of neighbouring ranks
    crowded_rank,  ///< a rank joins more collectives than allowed (found, wanted)
    /// A collective of the group begins in a later round than allowed (found, wanted), where each
    /// waits for all its members.
    late,
    /// A collective of the group never begins: its members deadlock, or one has no matching
    /// collective.
    cyclic_wait,
  };
  kind what{};
  rank_id rank{};    ///< crowded_rank
  group_id group{};  ///< all other kinds
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(communicator_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(communicator_violation const& v);

/// Checks the collectives over two ranks or more, without messages. A rank joins them one after
/// another; each begins when all its members have arrived. `most` bounds the collectives of a rank
/// and the rounds: 2 for the collection of one layer.
/// Returns all errors.
/// Requires a program that passes `check`.
/// Complexity: O(instructions + collectives x rounds).
[[nodiscard]] std::vector<communicator_violation> check_communicators(program const& p,
                                                                      std::int32_t most = 2);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/communicators.ipp"
#endif
