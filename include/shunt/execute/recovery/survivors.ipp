#pragma once
#include "shunt/execute/recovery/survivors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

SHUNT_INLINE void add_dead(std::vector<rank_id>& dead, std::vector<rank_id> const& more) {
  dead.insert(dead.end(), more.begin(), more.end());
  std::sort(dead.begin(), dead.end());
  dead.erase(std::unique(dead.begin(), dead.end()), dead.end());
}

SHUNT_INLINE std::vector<rank_id> survivors(outcome const& result, std::span<rank_id const> dead) {
  std::vector<rank_id> live;
  for (rank_id const r : ids<rank_id>(result.done.size()))
    if (!std::binary_search(dead.begin(), dead.end(), r)) live.push_back(r);
  return live;
}

SHUNT_INLINE std::int32_t fewest_programs(outcome const& result, std::span<rank_id const> dead,
                                          program const& plan) {
  auto fewest = std::numeric_limits<std::int32_t>::max();
  for (rank_id const r : survivors(result, dead))
    if (!plan.ranks[r].instructions.empty()) fewest = std::min(fewest, result.done[r].programs);
  return fewest == std::numeric_limits<std::int32_t>::max() ? 0 : fewest;
}

SHUNT_INLINE std::int32_t steps_to_undo(program const& p, rank_id r, std::vector<bool> const& ran,
                                        progress const& done, std::int32_t back_to) {
  auto const& list = p.ranks[r].instructions;
  bool stepped = false;
  for (std::size_t k = 0; k < list.size(); ++k)
    stepped |= ran[k] && list[k].code == opcode::compute && list[k].op.kind == op_kind::step;
  return list.empty() ? 0 : done.programs - back_to + stepped;
}

SHUNT_INLINE indexed<rank_id, std::vector<bool>> what_ran(outcome const& result,
                                                          std::span<rank_id const> dead,
                                                          program const& p, std::int32_t n) {
  indexed<rank_id, std::vector<bool>> ran(p.ranks.size());
  for (rank_id const r : survivors(result, dead)) {
    auto const& done = result.done[r];
    auto const length = p.ranks[r].instructions.size();
    auto const prefix = done.programs > n    ? length
                        : done.programs == n ? static_cast<std::size_t>(done.instructions)
                                             : 0;
    ran[r].assign(length, false);
    std::fill_n(ran[r].begin(), prefix, true);
  }
  for (event const& e : result.timeline.events)
    if (e.iteration == n && !ran[e.rank].empty())
      ran[e.rank][static_cast<std::size_t>(e.instruction)] = true;
  return ran;
}

SHUNT_INLINE ticks silent_since(outcome const& result) {
  ticks last = 0;
  for (event const& e : result.timeline.events)
    if (std::binary_search(result.lost.begin(), result.lost.end(), e.rank))
      last = std::max(last, e.end);
  return last;
}

SHUNT_INLINE ticks last_end(outcome const& result, std::int64_t n) {
  ticks last = 0;
  for (event const& e : result.timeline.events)
    if (e.iteration == n) last = std::max(last, e.end);
  return last;
}

}  // namespace shunt::detail
