#pragma once
#include "shunt/lower/layer_copies.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/detail/state_copies.hpp"

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

/// Returns the places of a buffer's layers, by rank.
SHUNT_INLINE std::vector<std::vector<placed_state>> states_in(
    buffer_id buffer, std::vector<std::vector<placed_layer>> const& held,
    std::span<byte_count const> bytes) {
  std::vector<std::vector<placed_state>> all(held.size());
  for (std::size_t r = 0; r < held.size(); ++r)
    for (placed_layer const& p : held[r])
      all[r].push_back({p.layer, {buffer, p.offset, bytes[p.layer.index()]}});
  return all;
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
  for (rank_id r : ids<rank_id>(ranks)) {
    if (after[r.index()].empty()) continue;
    b.buffer(r, from, detail::state_of(before[r.index()], bytes), true);
    b.buffer(r, to, detail::state_of(after[r.index()], bytes), true);
  }
  detail::append_state_copies(b, detail::states_in(from, before, bytes),
                              detail::states_in(to, after, bytes), plan.copies, channel, batch);
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
