#pragma once
#include "shunt/check/program_shape.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "shunt/check/detail/opcode_shape.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt::detail {

// Checks groups and tables.
// Returns false where they are too broken for any later rule.
SHUNT_INLINE bool check_tables(program const& p, program_violations& out) {
  auto const before = out.size();
  for (group_id const g : ids<group_id>(p.groups.size())) {
    auto sorted = p.groups[g];
    std::sort(sorted.begin(), sorted.end());
    bool const twice = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
    bool const known =
        std::all_of(sorted.begin(), sorted.end(), [&](rank_id r) { return p.ranks.contains(r); });
    if (sorted.empty() || twice || !known)
      out.push_back(
          {.rule = program_rule::group, .at = {0, program_violation::whole}, .found = g.value()});
  }
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    rank_program const& own = p.ranks[r];
    for (buffer_id const b : ids<buffer_id>(own.buffers.size()))
      if (own.buffers[b].size < 0)
        out.push_back({.rule = program_rule::table,
                       .at = {r, program_violation::whole},
                       .where = {b, 0, own.buffers[b].size}});
    std::int32_t number = 0;
    for (auto const& i : own.instructions) {
      auto const inside = [](slice s, std::size_t size) {
        return s.first >= 0 && s.count >= 0 &&
               static_cast<std::size_t>(s.first) + static_cast<std::size_t>(s.count) <= size;
      };
      if (!inside(i.reads, own.regions.size()) || !inside(i.writes, own.regions.size()) ||
          !inside(i.after, own.waits.size()) ||
          (i.condition != -1 && !inside({i.condition, 1}, own.regions.size())))
        out.push_back({.rule = program_rule::table, .at = {r, number}});
      ++number;
    }
  }
  return out.size() == before;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE bool check_shape(program const& p, program_violations& out) {
  if (!detail::check_tables(p, out)) return false;
  // Each rank's groups and its places in them.
  std::vector<std::vector<std::pair<group_id, std::int64_t>>> member_places(p.ranks.size());
  for (group_id const g : ids<group_id>(p.groups.size()))
    for (std::size_t k = 0; k < p.groups[g].size(); ++k)
      member_places[p.groups[g][k].index()].emplace_back(g, static_cast<std::int64_t>(k));

  bool sound = true;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    rank_program const& own = p.ranks[r];
    std::int32_t batch_end = 0;      // end of the current batch so far
    std::set<std::int32_t> batches;  // batches that began
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
      auto const& i = own.instructions[static_cast<std::size_t>(n)];
      program_point const at{r, n};
      bool fine = true;
      auto const refuse = [&](program_rule rule, std::int64_t found, region const& where = {}) {
        out.push_back({.rule = rule, .at = at, .where = where, .found = found});
        fine = false;
      };
      for (auto const regions : {own.reads(i), own.writes(i), own.condition(i)})
        for (region const& x : regions)
          if (!own.buffers.contains(x.buffer) || x.offset < 0 || x.size < 0 ||
              x.offset > own.buffers[x.buffer].size - x.size)
            refuse(program_rule::region, 0, x);
      for (region const& word : own.condition(i))
        if (word.size != 8 || word.offset % 8 != 0) refuse(program_rule::condition, 0, word);
      if (i.code == opcode::send || i.code == opcode::receive) {
        if (i.peer == r || !p.ranks.contains(i.peer)) refuse(program_rule::peer, i.peer.value());
        if (i.channel < 0) refuse(program_rule::channel, i.channel);
      }
      std::int64_t members = 1, place = 0;
      if (is_collective(i.code)) {
        auto const& mine = member_places[r.index()];
        auto const member =
            std::lower_bound(mine.begin(), mine.end(), std::pair{i.group, std::int64_t{0}});
        if (member == mine.end() || member->first != i.group) {
          refuse(program_rule::membership, i.group.value());
        } else {
          members = static_cast<std::int64_t>(p.groups[i.group].size());
          place = member->second;
        }
      }
      for (auto const w : own.after(i))
        if (w < 0 || w >= n) refuse(program_rule::wait, w);
      if (fine) {
        auto const known = out.size();
        detail::opcode_shape(own, at, members, place, out)();
        fine = std::none_of(out.begin() + static_cast<std::ptrdiff_t>(known), out.end(),
                            [](auto const& v) { return v.rule == program_rule::shape; });
      }
      sound = sound && fine;

      if (i.batch < 0) continue;
      auto const& previous = own.instructions[static_cast<std::size_t>(std::max(n - 1, 0))];
      bool const goes_on = n > 0 && batch_end == n && previous.batch == i.batch;
      bool const communicates =
          i.code == opcode::send || i.code == opcode::receive || is_collective(i.code);
      bool const apart = !goes_on && !batches.insert(i.batch).second;
      if (!communicates || apart || (goes_on && previous.lane != i.lane))
        out.push_back({.rule = program_rule::batch, .at = at, .found = i.batch});
      batch_end = n + 1;
    }
  }
  return sound;
}

}  // namespace shunt
