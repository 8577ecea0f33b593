#pragma once
#include "shunt/execute/host/failures.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

SHUNT_INLINE std::optional<std::int32_t> failure_of(std::vector<failure_point> const& failures,
                                                    program const& p, rank_id rank,
                                                    std::int64_t iteration) {
  std::optional<std::int32_t> first;
  auto const length = static_cast<std::int32_t>(p.ranks[rank].instructions.size());
  if (length == 0) return first;
  for (failure_point const& f : failures)
    if (f.rank == rank && f.iteration == iteration && f.instruction >= 0 &&
        f.instruction <= first.value_or(length))
      first = f.instruction;
  return first;
}

SHUNT_INLINE void require_equal_ranks(program const& first, program const& p) {
  if (p.ranks.empty()) throw invalid_program("the program is for no ranks");
  if (p.ranks.size() != first.ranks.size())
    throw invalid_program("the program is for " + std::to_string(p.ranks.size()) +
                          " ranks, the session for " + std::to_string(first.ranks.size()));
}

SHUNT_INLINE bool rank_status::starts(std::int32_t next) {
  if (runs() && fails_before == next) silent = true;
  return runs();
}

SHUNT_INLINE std::vector<std::int32_t> completed_instructions(
    program const& p, dependencies const& d, std::vector<program_point> const& order,
    std::span<rank_status> statuses) {
  std::vector<std::int32_t> done(p.ranks.size(), 0);
  auto const starts = [&](rank_id r) { return statuses[r.index()].starts(done[r.index()]); };
  for (std::size_t k = 0; k < order.size();) {
    auto const at = order[k];
    auto const& i = p.ranks[at.rank].instructions[static_cast<std::size_t>(at.instruction)];
    auto const partner = d.partner[static_cast<std::size_t>(d.number(at))];
    if (is_collective(i.code)) {
      auto const members = std::span(order).subspan(
          k,
          static_cast<std::size_t>(d.collectives[static_cast<std::size_t>(partner)].members.count));
      bool const all =
          std::all_of(members.begin(), members.end(), [&](auto m) { return starts(m.rank); });
      for (auto const m : members) {
        if (all)
          ++done[m.rank.index()];
        else if (starts(m.rank))
          statuses[m.rank.index()].stuck = true;
      }
      k += members.size();
      continue;
    }
    ++k;
    if (!starts(at.rank)) continue;
    if (i.code == opcode::receive && d.point(partner).instruction >= done[i.peer.index()])
      statuses[at.rank.index()].stuck = true;
    else
      ++done[at.rank.index()];
  }
  for (rank_id const r : ids<rank_id>(p.ranks.size())) (void)starts(r);
  return done;
}

}  // namespace shunt::detail
