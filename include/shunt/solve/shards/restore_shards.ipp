#pragma once
#include "shunt/solve/shards/restore_shards.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<shard_recovery> restore_shards::operator()(lost_ranks const& lost) const {
  validate(lost);
  if (map.elements != lost.state.elements ||
      map.shards.size() != static_cast<std::size_t>(lost.state.experts))
    throw invalid_problem("map", "has " + std::to_string(map.shards.size()) + " experts of " +
                                     std::to_string(map.elements) +
                                     " elements, the optimizer's state " +
                                     std::to_string(lost.state.experts) + " of " +
                                     std::to_string(lost.state.elements));
  solution<shard_recovery> answer{.plan = {.map = map, .copies = {}}, .status = status::infeasible};
  auto& after = answer.plan.map;
  answer.reason = reason(lost);
  if (!answer.reason.empty()) return answer;
  for (auto& shards : after.shards)
    for (shard& s : shards) {
      std::erase_if(s.mirrors, [&](rank_id r) { return !lost.alive(r); });
      if (lost.alive(s.owner)) continue;
      s.owner = s.mirrors.front();
      s.mirrors.erase(s.mirrors.begin());
    }
  auto owned = even_out(lost.state.ranks, after);
  copy_again(lost, answer.plan);
  auto const live =
      static_cast<std::int64_t>(lost.state.ranks) - static_cast<std::int64_t>(lost.dead.size());
  std::int64_t const most = *std::max_element(owned.begin(), owned.end());
  std::int64_t const least =
      ceil_divide<std::int64_t>(lost.state.elements * lost.state.experts, live);
  answer.objective = static_cast<double>(most);
  answer.lower_bound = static_cast<double>(least);
  answer.status = most > least ? status::feasible : status::optimal;
  return answer;
}

SHUNT_CONSTEXPR text restore_shards::reason(lost_ranks const& lost) const {
  text words;
  auto const several = [](std::int64_t first, std::int64_t last) {
    return last > first ? text("s ") + text::of(first) + " to " + text::of(last)
                        : text(" ") + text::of(first);
  };
  for (lost_state const& piece : state_lost_with(lost, map))
    words += text(words.empty() ? "" : "; ") + "element" + several(piece.begin, piece.end - 1) +
             " of expert" + several(piece.first.value(), piece.last.value());
  if (words.empty()) return words;
  text ranks;
  for (rank_id const r : lost.dead) ranks += text(ranks.empty() ? "" : ", ") + text::of(r.value());
  return text("no live rank holds the optimizer's state of ") + words + " (dead: " + ranks + ")";
}

SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> restore_shards::even_out(std::int32_t ranks,
                                                                        shard_map& map) {
  indexed<rank_id, std::int64_t> owned(static_cast<std::size_t>(ranks), 0);
  for (auto const& shards : map.shards)
    for (shard const& s : shards) owned[s.owner] += s.size();
  while (shift(map, owned)) {}
  return owned;
}

SHUNT_CONSTEXPR bool restore_shards::shift(shard_map& map, indexed<rank_id, std::int64_t>& owned) {
  rank_id const fullest = std::max_element(owned.begin(), owned.end()) - owned.begin();
  std::int64_t const most = owned[fullest];
  indexed<rank_id, std::vector<shard*>> of(owned.size());
  for (auto& shards : map.shards)
    for (shard& s : shards) of[s.owner].push_back(&s);
  indexed<rank_id, step> reached(
      owned.size());  // breadth first from the fullest rank: which rank hands over which shard
  std::vector<rank_id> queue{fullest};
  reached[fullest].from = fullest;
  for (std::size_t next = 0; next < queue.size(); ++next) {
    rank_id const giver = queue[next];
    for (shard* const s : of[giver])
      for (rank_id const taker : s->mirrors) {
        if (reached[taker].from >= 0) continue;
        // a rank within the chain hands on another shard than it receives, so it must not become
        // one of the fullest; the last rank of the chain ends with more
        std::int64_t const got = giver == fullest ? 0 : reached[giver].what->size();
        if (giver != fullest && owned[giver] + got - s->size() > std::max(owned[giver], most - 1))
          continue;
        reached[taker] = {giver, s};
        if (owned[taker] + s->size() < most) {
          for (rank_id at = taker; at != fullest; at = reached[at].from) {
            shard& moved = *reached[at].what;
            owned[moved.owner] -= moved.size();
            owned[at] += moved.size();
            std::replace(moved.mirrors.begin(), moved.mirrors.end(), at, moved.owner);
            moved.owner = at;
          }
          return true;
        }
        queue.push_back(taker);
      }
  }
  return false;
}

SHUNT_CONSTEXPR void restore_shards::copy_again(lost_ranks const& lost,
                                                shard_recovery& plan) const {
  indexed<rank_id, std::int64_t> held(static_cast<std::size_t>(lost.state.ranks), 0);
  for (auto const& shards : plan.map.shards)
    for (shard const& s : shards) {
      held[s.owner] += s.size();
      for (rank_id const r : s.mirrors) held[r] += s.size();
    }
  auto const live = static_cast<std::size_t>(lost.state.ranks) - lost.dead.size();
  for (expert_id e : ids<expert_id>(map.shards.size()))
    for (std::size_t k = 0; k < map.shards[e].size(); ++k) {
      shard& s = plan.map.shards[e][k];
      while (s.mirrors.size() < map.shards[e][k].mirrors.size() && s.mirrors.size() + 1 < live) {
        rank_id least = -1;
        for (rank_id r : ids<rank_id>(lost.state.ranks))
          if (lost.alive(r) && !s.held_by(r) && (least < 0 || held[r] < held[least])) least = r;
        plan.copies.push_back({e, s.begin, s.end, s.owner, least});
        s.mirrors.push_back(least);
        held[least] += s.size();
      }
    }
}

}  // namespace shunt
