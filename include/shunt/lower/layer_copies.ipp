#pragma once
#include "shunt/lower/layer_copies.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt::detail {

SHUNT_INLINE std::int32_t ranks_of_losses(pipeline_losses const& losses) {
  rank_id last = -1;
  for (auto const& ranks : losses.pipelines)
    for (rank_id const r : ranks) last = std::max(last, r);
  if (last.value() == std::numeric_limits<std::int32_t>::max())
    throw invalid_problem("pipelines", "has rank " + to_string(last) + ", which is too large");
  return last.value() + 1;
}

SHUNT_INLINE byte_count state_of(std::vector<placed_layer> const& held,
                                 std::span<byte_count const> bytes) {
  return held.empty() ? 0 : held.back().offset + bytes[held.back().layer.index()];
}

/// Returns null where the rank does not hold the layer.
SHUNT_INLINE placed_layer const* place_of(std::vector<placed_layer> const& held, layer_id layer) {
  auto const at =
      std::lower_bound(held.begin(), held.end(), layer,
                       [](placed_layer const& p, layer_id wanted) { return p.layer < wanted; });
  return at != held.end() && at->layer == layer ? &*at : nullptr;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::vector<std::vector<placed_layer>> placed_layers(
    std::vector<std::vector<rank_id>> const& pipelines, template_set const& templates,
    std::span<byte_count const> bytes, std::int32_t ranks) {
  std::vector<std::vector<placed_layer>> held(static_cast<std::size_t>(ranks));
  for (auto const& members : pipelines) {
    auto const* const found = templates.of(std::ssize(members));
    if (!found || found->stages.size() != members.size())
      throw invalid_problem("templates", "there is none of one rank a stage for " +
                                             std::to_string(members.size()) + " ranks");
    for (std::size_t s = 0; s < members.size(); ++s) {
      byte_count offset = 0;
      for (auto l = found->stages[s].first; l < found->stages[s].end; ++l) {
        if (l < 0 || l >= std::ssize(bytes) || bytes[static_cast<std::size_t>(l)] < 0)
          throw invalid_problem("bytes[" + std::to_string(l) + "]",
                                "must be the size of the layer's state");
        held[members[s].index()].push_back({l, offset});
        auto const sum = checked_add(offset, bytes[static_cast<std::size_t>(l)]);
        if (!sum)
          throw invalid_problem("bytes[" + std::to_string(l) + "]",
                                "takes a rank's state beyond 63 bits");
        offset = *sum;
      }
    }
  }
  return held;
}

SHUNT_INLINE void layer_copies::operator()(program_builder& b, pipeline_losses const& losses,
                                           template_set const& templates,
                                           reconfiguration const& plan,
                                           std::span<byte_count const> bytes, buffer_id from,
                                           buffer_id to) const {
  validate(losses);
  auto const ranks = detail::ranks_of_losses(losses);
  auto before = placed_layers(losses.pipelines, templates, bytes, ranks);
  for (rank_id const r : losses.lost) before[r.index()].clear();
  for (auto const& members : plan.pipelines)
    for (rank_id const r : members)
      if (r < 0 || r.value() >= ranks)
        throw invalid_program("a pipeline with rank " + to_string(r) + ", which was in none");
  auto const after = placed_layers(plan.pipelines, templates, bytes, ranks);
  auto const place = [&](auto const& held, buffer_id buffer, rank_id r, layer_id layer) -> region {
    auto const* const found =
        r < 0 || r.value() >= ranks ? nullptr : detail::place_of(held[r.index()], layer);
    if (!found)
      throw invalid_program("rank " + to_string(r) + " doesn't hold layer " + to_string(layer));
    return {buffer, found->offset, bytes[layer.index()]};
  };
  for (rank_id r : ids<rank_id>(ranks)) {
    if (after[r.index()].empty()) continue;
    b.buffer(r, from, detail::state_of(before[r.index()], bytes), true);
    b.buffer(r, to, detail::state_of(after[r.index()], bytes), true);
  }
  using message = std::tuple<rank_id, rank_id, layer_id>;
  std::vector<message> messages;
  std::vector<std::pair<rank_id, layer_id>> received;
  for (layer_copy const& c : plan.copies)
    for (rank_id const r : c.to) {
      messages.emplace_back(c.from, r, c.layer);
      received.emplace_back(r, c.layer);
    }
  std::sort(messages.begin(), messages.end());
  std::sort(received.begin(), received.end());
  placing const together{.batch = batch};
  for (auto const& [source, target, layer] : messages)
    b.send(source, target, place(before, from, source, layer), channel, together);
  for (auto const& [source, target, layer] : messages)
    b.receive(target, source, place(after, to, target, layer), channel, together);
  for (rank_id r : ids<rank_id>(ranks))
    for (placed_layer const& p : after[r.index()]) {
      if (detail::place_of(before[r.index()], p.layer))
        b.copy(r, place(before, from, r, p.layer), place(after, to, r, p.layer));
      else if (!std::binary_search(received.begin(), received.end(), std::pair(r, p.layer)))
        throw invalid_program("rank " + to_string(r) + " needs layer " + to_string(p.layer) +
                              " and doesn't receive it");
    }
}

SHUNT_INLINE program lower(pipeline_losses const& losses, template_set const& templates,
                           reconfiguration const& plan, std::span<byte_count const> bytes,
                           layer_copies how) {
  validate(losses);
  program_builder b(detail::ranks_of_losses(losses));
  how(b, losses, templates, plan, bytes, 0, 1);
  return std::move(b).finish();
}

}  // namespace shunt
