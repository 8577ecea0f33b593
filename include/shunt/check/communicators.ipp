#pragma once
#include "shunt/check/communicators.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt {

SHUNT_INLINE std::string to_string(communicator_violation const& v) {
  std::string const group = "group " + std::to_string(v.group.value());
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted at most " + std::to_string(v.wanted);
  switch (v.what) {
    case communicator_violation::kind::gap: return group + " is no run of neighbouring ranks";
    case communicator_violation::kind::crowded_rank:
      return "rank " + std::to_string(v.rank.value()) + ", collectives" + counts;
    case communicator_violation::kind::late:
      return group + ", rounds before its collective ends" + counts;
    case communicator_violation::kind::cyclic_wait:
      return group + ": a collective whose members wait in a circle";
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<communicator_violation> check_communicators(program const& p,
                                                                     std::int32_t most) {
  using kind = communicator_violation::kind;
  std::vector<communicator_violation> found;
  for (group_id g : ids<group_id>(p.groups.size())) {
    auto const& members = p.groups[g];
    bool whole = true;
    for (std::size_t k = 1; k < members.size(); ++k)
      whole = whole && members[k].value() == members[k - 1].value() + 1;
    if (!whole) found.push_back({.what = kind::gap, .group = g});
  }

  auto const d = find_dependencies(p);
  indexed<rank_id, std::vector<std::int32_t>> joins(p.ranks.size());  // collectives, in order
  for (rank_id r : ids<rank_id>(p.ranks.size())) {
    for (std::size_t n = 0; n < p.ranks[r].instructions.size(); ++n) {
      auto const& i = p.ranks[r].instructions[n];
      if (is_collective(i.code) && p.groups[i.group].size() > 1)
        joins[r].push_back(d.partner[static_cast<std::size_t>(d.first[r.index()]) + n]);
    }
    if (auto const count = static_cast<std::int64_t>(joins[r].size()); count > most)
      found.push_back({.what = kind::crowded_rank, .rank = r, .found = count, .wanted = most});
  }
  std::vector<std::int32_t> done(d.collectives.size(), 0);
  indexed<rank_id, std::size_t> next(p.ranks.size(), 0);
  std::size_t left = 0;
  for (auto const& m : d.collectives) left += p.groups[m.group].size() > 1;
  auto const comes = [&](rank_id r, std::size_t match) {
    return next[r] < joins[r].size() && joins[r][next[r]] == static_cast<std::int32_t>(match);
  };
  for (std::int64_t round = 1; left > 0; ++round) {
    std::vector<std::size_t> begin;
    for (std::size_t m = 0; m < d.collectives.size(); ++m) {
      auto const& members = p.groups[d.collectives[m].group];
      if (!done[m] && members.size() > 1 &&
          std::all_of(members.begin(), members.end(), [&](rank_id r) { return comes(r, m); }))
        begin.push_back(m);
    }
    for (std::size_t const m : begin) {
      done[m] = 1;
      for (rank_id const r : p.groups[d.collectives[m].group]) ++next[r];
      if (round > most)
        found.push_back(
            {.what = kind::late, .group = d.collectives[m].group, .found = round, .wanted = most});
    }
    left -= begin.size();
    if (!begin.empty()) continue;
    for (std::size_t m = 0; m < d.collectives.size(); ++m)
      if (!done[m] && p.groups[d.collectives[m].group].size() > 1)
        found.push_back({.what = kind::cyclic_wait, .group = d.collectives[m].group});
    break;
  }
  return found;
}

}  // namespace shunt
