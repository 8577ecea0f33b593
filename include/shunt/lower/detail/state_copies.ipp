#pragma once
#include "shunt/lower/detail/state_copies.hpp"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

/// Returns null where the rank does not hold the layer.
SHUNT_INLINE region const* place_of(std::vector<placed_state> const& held, layer_id layer) {
  auto const at =
      std::lower_bound(held.begin(), held.end(), layer,
                       [](placed_state const& p, layer_id wanted) { return p.layer < wanted; });
  return at != held.end() && at->layer == layer ? &at->at : nullptr;
}

SHUNT_INLINE void append_state_copies(program_builder& b,
                                      std::vector<std::vector<placed_state>> const& before,
                                      std::vector<std::vector<placed_state>> const& after,
                                      std::span<layer_copy const> copies, std::int32_t channel,
                                      std::int32_t batch) {
  auto const place = [](auto const& held, rank_id r, layer_id layer) -> region const& {
    auto const* const found =
        r < 0 || r.index() >= held.size() ? nullptr : place_of(held[r.index()], layer);
    if (!found)
      throw invalid_program("rank " + to_string(r) + " doesn't hold layer " + to_string(layer));
    return *found;
  };
  using message = std::tuple<rank_id, rank_id, layer_id>;
  std::vector<message> messages;
  std::vector<std::pair<rank_id, layer_id>> received;
  for (layer_copy const& c : copies)
    for (rank_id const r : c.to) {
      messages.emplace_back(c.from, r, c.layer);
      received.emplace_back(r, c.layer);
    }
  std::sort(messages.begin(), messages.end());
  std::sort(received.begin(), received.end());
  placing const together{.batch = batch};
  for (auto const& [source, target, layer] : messages)
    b.send(source, target, place(before, source, layer), channel, together);
  for (auto const& [source, target, layer] : messages)
    b.receive(target, source, place(after, target, layer), channel, together);
  for (rank_id const r : ids<rank_id>(after.size()))
    for (placed_state const& p : after[r.index()]) {
      if (auto const* const own = place_of(before[r.index()], p.layer))
        b.copy(r, *own, p.at);
      else if (!std::binary_search(received.begin(), received.end(), std::pair(r, p.layer)))
        throw invalid_program("rank " + to_string(r) + " needs layer " + to_string(p.layer) +
                              " and doesn't receive it");
    }
}

}  // namespace shunt::detail
