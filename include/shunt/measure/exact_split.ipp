#pragma once
#include "shunt/measure/exact_split.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int64_t exact_split_load(std::span<std::int64_t const> loads,
                                              expert_placement const& placement, layer_id layer) {
  std::size_t const experts = loads.size(), ranks = static_cast<std::size_t>(placement.ranks());
  auto const slots = placement.layer(layer);
  std::vector<char> has(experts * ranks, 0);
  std::int64_t total = 0, live = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    live += placement.first_slot[r + 1] > placement.first_slot[r];
    for (auto s = placement.first_slot[r]; s < placement.first_slot[r + 1]; ++s)
      has[slots[static_cast<std::size_t>(s)].index() * ranks + r] = 1;
  }
  for (auto const load : loads) total += load;
  if (total == 0) return 0;

  constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();
  std::vector<std::int64_t> sent(experts * ranks, 0), left(loads.begin(), loads.end()),
      room(ranks, 0);
  std::vector<std::size_t> from_rank(experts, nowhere), from_expert(ranks, nowhere), queue;
  std::vector<char> reached(experts, 0);
  std::int64_t most = live == 0 ? 0 : ceil_divide(total, live);
  room.assign(ranks, most);
  for (std::size_t source = 0; source < experts;) {
    if (left[source] == 0) {
      ++source;
      continue;
    }
    // breadth first from the expert with tokens left: to ranks that hold it, back to experts that
    // send there
    reached.assign(experts, 0);
    from_expert.assign(ranks, nowhere);
    queue.assign(1, source);
    reached[source] = 1;
    std::size_t end = nowhere;
    for (std::size_t at = 0; at < queue.size() && end == nowhere; ++at) {
      std::size_t const e = queue[at];
      for (std::size_t r = 0; r < ranks && end == nowhere; ++r) {
        if (!has[e * ranks + r] || from_expert[r] != nowhere) continue;
        from_expert[r] = e;
        if (room[r] > 0) end = r;
        for (std::size_t other = 0; other < experts && end == nowhere; ++other) {
          if (reached[other] || sent[other * ranks + r] == 0) continue;
          reached[other] = 1;
          from_rank[other] = r;
          queue.push_back(other);
        }
      }
    }
    if (end == nowhere) {
      std::int64_t tokens = 0, held = 0;
      for (std::size_t const e : queue) tokens += loads[e];
      for (std::size_t r = 0; r < ranks; ++r) held += from_expert[r] != nowhere;
      if (held == 0) return -1;
      std::int64_t const more = ceil_divide(tokens, held);
      for (auto& x : room) x += more - most;  // the existing flow still fits
      most = more;
      continue;
    }
    std::int64_t moved = std::min(left[source], room[end]);
    for (std::size_t e = from_expert[end]; e != source; e = from_expert[from_rank[e]])
      moved = std::min(moved, sent[e * ranks + from_rank[e]]);
    left[source] -= moved;
    room[end] -= moved;
    for (std::size_t r = end;;) {
      std::size_t const e = from_expert[r];
      sent[e * ranks + r] += moved;
      if (e == source) break;
      r = from_rank[e];
      sent[e * ranks + r] -= moved;
    }
  }
  return most;
}

}  // namespace shunt
