#pragma once
#include "shunt/problem/expert_layers.hpp"

#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<std::int32_t> deal_slots(std::int32_t slots, std::int32_t ranks) {
  std::vector<std::int32_t> dealt(static_cast<std::size_t>(ranks), 0);
  for (std::int32_t r = 0; r < ranks; ++r)
    dealt[static_cast<std::size_t>(r)] = slots / ranks + (r < slots % ranks);
  return dealt;
}

SHUNT_CONSTEXPR std::int32_t expert_layers::ranks() const {
  return static_cast<std::int32_t>(slots_per_rank.size());
}

SHUNT_CONSTEXPR std::int32_t expert_layers::slots() const {
  std::int64_t sum = 0;  // before validation it may be anything
  for (auto const s : slots_per_rank) sum += s;
  return static_cast<std::int32_t>(sum);
}

SHUNT_CONSTEXPR std::span<std::int64_t const> expert_layers::loads_of(layer_id l) const {
  auto const width = static_cast<std::size_t>(experts);
  return std::span(loads).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR std::int32_t expert_layers::windows() const {
  return static_cast<std::int32_t>(
      history.size() / (static_cast<std::size_t>(layers) * static_cast<std::size_t>(experts)));
}

SHUNT_CONSTEXPR std::span<std::int64_t const> expert_layers::loads_of(layer_id l,
                                                                      std::int32_t window) const {
  auto const width = static_cast<std::size_t>(experts);
  auto const row = static_cast<std::size_t>(window) * static_cast<std::size_t>(layers) + l.index();
  return std::span(history).subspan(row * width, width);
}

SHUNT_CONSTEXPR std::span<expert_id const> expert_layers::previous_of(layer_id l) const {
  auto const width = static_cast<std::size_t>(slots());
  return std::span(previous).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR std::span<std::int64_t const> expert_layers::sources_of(layer_id l,
                                                                        rank_id source) const {
  auto const width = static_cast<std::size_t>(experts);
  return std::span(sources).subspan((l.index() * slots_per_rank.size() + source.index()) * width,
                                    width);
}

SHUNT_CONSTEXPR std::int32_t expert_layers::nodes() const {
  return ranks_per_node == 0 ? 1 : ceil_divide(ranks(), ranks_per_node);
}

}  // namespace shunt

namespace shunt::detail {

// Throws unless no load is negative and the sources of each expert add up to its load.
SHUNT_CONSTEXPR void validate_sources(expert_layers const& p) {
  if (p.sources.empty()) return;
  auto const cells = p.loads.size() * p.slots_per_rank.size();
  if (p.sources.size() != cells)
    throw invalid_problem("sources", "has " + std::to_string(p.sources.size()) + " values for " +
                                         std::to_string(p.layers) + " layers x " +
                                         std::to_string(p.ranks()) + " ranks x " +
                                         std::to_string(p.experts) + " experts");
  for (layer_id l : ids<layer_id>(p.layers)) {
    auto const row = [&](auto i) {
      return "sources[" + std::to_string(l.value()) + "][" + std::to_string(i) + "]";
    };
    for (expert_id e : ids<expert_id>(p.experts)) {
      std::int64_t const load = p.loads_of(l)[e.index()];
      std::int64_t left = load;
      for (rank_id r : ids<rank_id>(p.ranks())) {
        std::int64_t const count = p.sources_of(l, r)[e.index()];
        if (count < 0 || count > left)
          throw invalid_problem(row(r.value()) + "[" + std::to_string(e.value()) + "]",
                                count < 0
                                    ? "must be at least 0, is " + std::to_string(count)
                                    : "takes the sum over sources beyond the load " +
                                          std::to_string(load) + ", is " + std::to_string(count));
        left -= count;
      }
      if (left != 0)
        throw invalid_problem("sources[" + std::to_string(l.value()) + "]",
                              "expert " + std::to_string(e.value()) + " adds up to " +
                                  std::to_string(load - left) + ", its load is " +
                                  std::to_string(load));
    }
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR void validate(expert_layers const& p) {
  if (p.layers < 1)
    throw invalid_problem("layers", "must be at least 1, is " + std::to_string(p.layers));
  if (p.experts < 1)
    throw invalid_problem("experts", "must be at least 1, is " + std::to_string(p.experts));
  if (p.slots_per_rank.empty()) throw invalid_problem("slots_per_rank", "names no rank");
  std::int64_t slots = 0;
  for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r) {
    if (p.slots_per_rank[r] < 0)
      throw invalid_problem("slots_per_rank[" + std::to_string(r) + "]",
                            "must be at least 0, is " + std::to_string(p.slots_per_rank[r]));
    slots += p.slots_per_rank[r];
  }
  if (slots >= (std::int64_t{1} << 31))
    throw invalid_problem("slots_per_rank", "adds up beyond 31 bits");
  auto const cells = static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(p.experts);
  if (p.loads.size() != cells)
    throw invalid_problem("loads", "has " + std::to_string(p.loads.size()) + " values for " +
                                       std::to_string(p.layers) + " layers x " +
                                       std::to_string(p.experts) + " experts");
  for (std::int32_t l = 0; l < p.layers; ++l)
    detail::validate_loads(p.loads_of(l), slots + p.experts,
                           [&] { return "loads[" + std::to_string(l) + "]"; });
  if (p.ranks_per_node < 0)
    throw invalid_problem("ranks_per_node",
                          "must be at least 0, is " + std::to_string(p.ranks_per_node));
  if (p.groups < 0 || p.groups > p.experts)
    throw invalid_problem("groups", "must be from 0 to " + std::to_string(p.experts) + ", is " +
                                        std::to_string(p.groups));
  if (p.history.size() % cells != 0)
    throw invalid_problem("history", "has " + std::to_string(p.history.size()) +
                                         " values, no multiple of " + std::to_string(p.layers) +
                                         " layers x " + std::to_string(p.experts) + " experts");
  for (std::int32_t w = 0; w < p.windows(); ++w)
    for (std::int32_t l = 0; l < p.layers; ++l)
      detail::validate_loads(p.loads_of(l, w), slots + p.experts, [&] {
        return "history[" + std::to_string(w) + "][" + std::to_string(l) + "]";
      });
  detail::validate_sources(p);
  if (p.previous.empty()) return;
  if (p.previous.size() != static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(slots))
    throw invalid_problem("previous", "has " + std::to_string(p.previous.size()) + " values for " +
                                          std::to_string(p.layers) + " layers x " +
                                          std::to_string(slots) + " slots");
  for (std::size_t s = 0; s < p.previous.size(); ++s)
    if (p.previous[s] < expert_id{-1} || p.previous[s] >= expert_id{p.experts})
      throw invalid_problem("previous[" + std::to_string(s / static_cast<std::size_t>(slots)) +
                                "][" + std::to_string(s % static_cast<std::size_t>(slots)) + "]",
                            "must be an expert below " + std::to_string(p.experts) +
                                ", or -1 for an empty slot, is " +
                                std::to_string(p.previous[s].value()));
}

}  // namespace shunt
