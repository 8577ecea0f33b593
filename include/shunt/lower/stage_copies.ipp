#pragma once
#include "shunt/lower/stage_copies.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/state_copies.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {

SHUNT_INLINE program stage_copies::operator()(held_stages const& before, held_stages const& after,
                                              std::span<layer_copy const> copies,
                                              per_stage const& state) const {
  if (before.size() != after.size())
    throw invalid_problem("after", "has " + std::to_string(after.size()) + " ranks, not " +
                                       std::to_string(before.size()));
  program_builder b(static_cast<std::int32_t>(before.size()));
  std::vector<std::vector<detail::placed_state>> old(before.size()), next(after.size());
  auto const region_of = [&](buffer_id buffer, stage_id s) -> region {
    if (s < 0 || (state.size() != 1 && s.index() >= state.size()))
      throw invalid_problem("state", "has no size of stage " + to_string(s));
    return {buffer, 0, state[s]};
  };
  for (rank_id const r : ids<rank_id>(before.size())) {
    std::int32_t chunk = 0;
    for (stage_id const s : before[r.index()])
      old[r.index()].push_back({s.value(), region_of(pipeline_buffers::state(chunk++), s)});
    auto const held = std::exchange(chunk, 0);
    if (before[r.index()] != after[r.index()])
      for (stage_id const s : after[r.index()])
        next[r.index()].push_back({s.value(), region_of(arriving(chunk++, held), s)});
    for (auto const* const list : {&old[r.index()], &next[r.index()]})
      for (auto const& p : *list) b.buffer(r, p.at.buffer, p.at.size, true);
  }
  detail::append_state_copies(b, old, next, copies, channel, batch);
  return std::move(b).finish();
}

SHUNT_INLINE std::vector<layer_copy> copies_between(held_stages const& before,
                                                    held_stages const& after,
                                                    std::int32_t ranks_per_node) {
  std::map<stage_id, std::vector<rank_id>> sources, receivers;
  for (rank_id const r : ids<rank_id>(before.size()))
    for (stage_id const s : before[r.index()]) sources[s].push_back(r);
  for (rank_id const r : ids<rank_id>(after.size()))
    for (stage_id const s : after[r.index()])
      if (r.index() >= before.size() ||
          std::find(before[r.index()].begin(), before[r.index()].end(), s) ==
              before[r.index()].end())
        receivers[s].push_back(r);
  std::vector<layer_copy> copies;
  for (auto const& [stage, to] : receivers) {
    auto const& from = sources[stage];
    if (from.empty()) continue;
    std::map<rank_id, std::vector<rank_id>> by_source;
    for (rank_id const r : to) {
      auto const near = std::find_if(from.begin(), from.end(), [&](rank_id source) {
        return ranks_per_node > 0 && source.value() / ranks_per_node == r.value() / ranks_per_node;
      });
      by_source[near == from.end() ? from.front() : *near].push_back(r);
    }
    for (auto& [source, targets] : by_source)
      copies.push_back({stage.value(), source, std::move(targets)});
  }
  return copies;
}

}  // namespace shunt
