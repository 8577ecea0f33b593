#pragma once
/// Tokens that a placement drops, by --sources: where slots have the room (pooled) and where every
/// source has room of its own (per_source, as in DeepSpeed-MoE).
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/source_capacity.hpp"

namespace place_experts {

/// How much there is room for.
struct room_settings {
  bool per_source = false;
  shunt::capacity_factor factor{};
  std::optional<std::uint64_t> seed{};  ///< which tokens are kept is to be said
};

/// A layer's tokens under both kinds of room.
struct layer_drops {
  shunt::token_split split{};                   ///< under the kind that was asked for
  std::int64_t per_source = 0, pooled = 0;      ///< tokens dropped
  std::int64_t slot_capacity = 0;               ///< of a slot, pooled
  std::vector<std::int64_t> source_capacity{};  ///< of a source for each expert
  std::vector<std::vector<std::vector<std::int64_t>>> kept{};  ///< sources x experts, with a seed

  [[nodiscard]] std::int64_t dropped(bool by_source) const {
    return by_source ? per_source : pooled;
  }
};

/// Throws invalid_problem, which names `path` with row and column, where an expert has 2^31 tokens
/// or more, and that of the capacity factor where a room is beyond 64 bits.
inline std::vector<layer_drops> drops_of(std::string const& path,
                                         shunt::expert_layers const& layers,
                                         shunt::expert_placement const& placement,
                                         room_settings const& set) {
  constexpr std::int64_t most = std::int64_t{1} << 31;
  std::vector<layer_drops> all;
  for (auto const l : shunt::ids<shunt::layer_id>(layers.layers)) {
    std::vector<std::int64_t> counts, sums(static_cast<std::size_t>(layers.experts), 0);
    std::int64_t tokens = 0;
    layer_drops one;
    shunt::source_capacity const rule{.factor = set.factor, .seed = set.seed.value_or(0)};
    for (auto const r : shunt::ids<shunt::rank_id>(layers.ranks())) {
      auto const row = layers.sources_of(l, r);
      std::int64_t own = 0;
      for (std::size_t e = 0; e < row.size(); ++e) {
        if (row[e] >= most - sums[e])
          throw shunt::invalid_problem(
              path + " row " +
                  std::to_string(std::int64_t{l.value()} * layers.ranks() + r.value() + 1) +
                  ", column " + std::to_string(e + 1),
              "takes the expert's tokens to 2^31 or more, is " + std::to_string(row[e]));
        sums[e] += row[e];
        own += row[e];
      }
      counts.insert(counts.end(), row.begin(), row.end());
      one.source_capacity.push_back(rule.room(own, layers.experts));
      tokens += own;
      if (!set.seed) continue;
      // a source's tokens are numbered expert by expert
      std::vector<std::int32_t> expert;
      for (std::size_t e = 0; e < row.size(); ++e)
        expert.insert(expert.end(), static_cast<std::size_t>(row[e]), static_cast<std::int32_t>(e));
      auto& kept = one.kept.emplace_back(row.size());
      std::vector<std::int64_t> first(row.size(), 0);
      for (std::size_t e = 1; e < row.size(); ++e) first[e] = first[e - 1] + row[e - 1];
      for (auto const t :
           shunt::random_claimants(expert, layers.experts, one.source_capacity.back(), *set.seed,
                                   {.iteration = 0, .layer = l, .source = r})) {
        auto const e = static_cast<std::size_t>(expert[static_cast<std::size_t>(t)]);
        kept[e].push_back(t - first[e]);
      }
    }
    one.slot_capacity = shunt::slot_capacity(tokens, placement.slots(), set.factor);
    auto const routed = shunt::routed(placement, l, std::move(counts), one.slot_capacity);
    auto own = rule(routed), shared = shunt::capacity_split{}(routed);
    one.per_source = static_cast<std::int64_t>(own.objective);
    one.pooled = static_cast<std::int64_t>(shared.objective);
    one.split = std::move(set.per_source ? own.plan : shared.plan);
    all.push_back(std::move(one));
  }
  return all;
}

/// Adds what drops to the answer: `dropped` in all and of each layer, by source and expert.
inline void add_drops(nlohmann::ordered_json& answer, std::vector<layer_drops> const& drops,
                      room_settings const& set) {
  std::int64_t per_source = 0, pooled = 0;
  for (std::size_t l = 0; l < drops.size(); ++l) {
    auto const& d = drops[l];
    per_source += d.per_source;
    pooled += d.pooled;
    auto& layer = answer["layers"][l];
    layer["dropped"] = d.dropped(set.per_source);
    auto by = nlohmann::ordered_json::array();
    auto const experts = static_cast<std::ptrdiff_t>(d.split.experts);
    for (std::ptrdiff_t i = 0; i < d.split.sources; ++i)
      by.push_back(std::vector<std::int64_t>(d.split.dropped.begin() + i * experts,
                                             d.split.dropped.begin() + (i + 1) * experts));
    layer["dropped_by_source_and_expert"] = std::move(by);
    if (set.per_source)
      layer["source_capacity"] = d.source_capacity;
    else
      layer["slot_capacity"] = d.slot_capacity;
    if (set.seed) layer["kept"] = d.kept;
  }
  answer["capacity"] = set.per_source ? "per_source" : "pooled";
  answer["dropped"] = set.per_source ? per_source : pooled;
  answer["dropped_per_source"] = per_source;
  answer["dropped_pooled"] = pooled;
}

}  // namespace place_experts
