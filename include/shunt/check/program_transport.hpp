#pragma once
/// Rules for transports that offer less than `check` assumes: sends that aren't buffered, or
/// channels that aren't separate.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/program_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

/// Visits every wait under sends that end with their receives: along lanes and along `after`.
/// Members of a batch start together; the next instruction of their lane waits for all of them.
/// Calls `visit(earlier, later)`. Ends of batches are numbered from `units` on.
template <class Visit>
void each_wait(program const& p, dependencies const& d, std::size_t units, Visit&& visit) {
  constexpr std::int64_t nothing = -1;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    rank_program const& own = p.ranks[r];
    // The event that the next instruction of a lane, or the next member of a batch, waits for.
    std::array<std::int64_t, 256> before{};
    before.fill(nothing);
    for (std::size_t n = 0; n < own.instructions.size(); ++n) {
      auto const& i = own.instructions[n];
      auto const first = static_cast<std::size_t>(d.first[r.index()]), self = first + n;
      for (auto const w : own.after(i)) visit(first + static_cast<std::size_t>(w), self);
      auto& last = before[i.lane];
      if (last != nothing) visit(static_cast<std::size_t>(last), self);
      if (i.batch < 0) {
        last = static_cast<std::int64_t>(self);
        continue;
      }
      visit(self, units + self);  // the end of a batch has the number of its last member
      auto const more = n + 1 < own.instructions.size() && own.instructions[n + 1].batch == i.batch;
      if (more)
        visit(units + self, units + self + 1);
      else
        last = static_cast<std::int64_t>(units + self);
    }
  }
}

}  // namespace detail

/// Checks whether a program can run where every send waits for its receive, each lane in order. It
/// can't where two lanes cross on two ranks, or where two ranks both send before they receive.
///
/// Returns the first instruction of each rank that never completes.
/// Requires a program that passes `check`.
/// Complexity: O(n log n) in the number of instructions.
[[nodiscard]] program_violations check_rendezvous(program const& p);

/// Checks whether a program can run over a transport that ignores channels: between two ranks
/// messages are received in the order in which they are sent, and that order is fixed on both
/// sides.
///
/// Returns all violations.
/// Requires a program that passes `check`.
/// Complexity: O(n log n) in the number of instructions, times the lanes of a rank.
[[nodiscard]] program_violations check_without_tags(program const& p);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_transport.ipp"
#endif
