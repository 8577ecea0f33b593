#pragma once
#include "shunt/plan/physical_map.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

SHUNT_CONSTEXPR physical_map physical_map_of(expert_placement const& plan) {
  physical_map map{.layers = plan.layers, .experts = plan.experts, .slots = plan.slots()};
  auto const rows = static_cast<std::size_t>(plan.layers),
             experts = static_cast<std::size_t>(plan.experts);
  map.replica_counts.resize(rows * experts, 0);
  for (std::size_t l = 0; l < rows; ++l)
    for (expert_id const e : plan.layer(l)) {
      map.physical_to_logical.push_back(e.value());
      if (e != expert_id{-1})
        map.most_replicas =
            std::max(map.most_replicas, ++map.replica_counts[l * experts + e.index()]);
    }
  auto const depth = static_cast<std::size_t>(map.most_replicas);
  map.logical_to_physical.resize(rows * experts * depth, -1);
  std::vector<std::size_t> known(rows * experts, 0);
  for (std::size_t l = 0; l < rows; ++l) {
    auto const slots = plan.layer(l);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s] == expert_id{-1}) continue;
      std::size_t const row = l * experts + slots[s].index();
      map.logical_to_physical[row * depth + known[row]++] = static_cast<std::int32_t>(s);
    }
  }
  return map;
}

SHUNT_CONSTEXPR expert_placement placement_of(physical_map const& map,
                                              std::span<std::int32_t const> slots_per_rank) {
  expert_placement plan{
      .layers = map.layers, .experts = map.experts, .first_slot = {0}, .expert_of = {}};
  for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
    auto const sum = std::int64_t{plan.first_slot.back()} + slots_per_rank[r];
    if (slots_per_rank[r] < 0 || sum > std::numeric_limits<std::int32_t>::max())
      throw invalid_problem("slots_per_rank[" + std::to_string(r) + "]",
                            "is " + std::to_string(slots_per_rank[r]) + " after " +
                                std::to_string(plan.first_slot.back()) + " slots");
    plan.first_slot.push_back(static_cast<std::int32_t>(sum));
  }
  auto const at = [](char const* array, std::size_t i, std::size_t width) {
    return std::string(array) + "[" + std::to_string(i / width) + "][" + std::to_string(i % width) +
           "]";
  };
  auto const slots = static_cast<std::size_t>(map.slots),
             experts = static_cast<std::size_t>(map.experts);
  if (map.slots != plan.slots())
    throw invalid_problem("phy2log", "has " + std::to_string(map.slots) +
                                         " slots a layer, the ranks have " +
                                         std::to_string(plan.slots()));
  if (map.layers < 0 || map.experts > map.slots)
    throw invalid_problem("phy2log", "has " + std::to_string(map.layers) + " layers of " +
                                         std::to_string(map.slots) + " slots for " +
                                         std::to_string(map.experts) + " experts");
  if (map.physical_to_logical.size() != static_cast<std::size_t>(map.layers) * slots)
    throw invalid_problem("phy2log", "has " + std::to_string(map.physical_to_logical.size()) +
                                         " values for " + std::to_string(map.layers) +
                                         " layers x " + std::to_string(map.slots) + " slots");
  for (std::size_t i = 0; i < map.physical_to_logical.size(); ++i) {
    auto const e = map.physical_to_logical[i];
    if (e < -1 || e >= map.experts)
      throw invalid_problem(at("phy2log", i, slots), "must be an expert below " +
                                                         std::to_string(map.experts) + ", is " +
                                                         std::to_string(e));
    plan.expert_of.emplace_back(e);
  }
  auto const made = physical_map_of(plan);
  if (!map.replica_counts.empty()) {
    if (map.replica_counts.size() != made.replica_counts.size())
      throw invalid_problem("logcnt", "has " + std::to_string(map.replica_counts.size()) +
                                          " values for " + std::to_string(map.layers) +
                                          " layers x " + std::to_string(map.experts) + " experts");
    for (std::size_t i = 0; i < made.replica_counts.size(); ++i)
      if (map.replica_counts[i] != made.replica_counts[i])
        throw invalid_problem(at("logcnt", i, experts),
                              "is " + std::to_string(map.replica_counts[i]) + ", phy2log has " +
                                  std::to_string(made.replica_counts[i]) + " replicas");
  }
  if (map.logical_to_physical.empty()) return plan;
  auto const depth = static_cast<std::size_t>(map.most_replicas),
             own = static_cast<std::size_t>(made.most_replicas);
  if (map.logical_to_physical.size() != made.replica_counts.size() * depth)
    throw invalid_problem(
        "log2phy", "has " + std::to_string(map.logical_to_physical.size()) + " values for " +
                       std::to_string(map.layers) + " layers x " + std::to_string(map.experts) +
                       " experts x " + std::to_string(map.most_replicas) + " replicas");
  for (std::size_t i = 0; i < made.replica_counts.size(); ++i) {
    std::vector<std::int32_t> named, wanted;
    for (auto const s : std::span(map.logical_to_physical).subspan(i * depth, depth))
      if (s != -1) named.push_back(s);
    for (auto const s : std::span(made.logical_to_physical).subspan(i * own, own))
      if (s != -1) wanted.push_back(s);
    std::sort(named.begin(), named.end());
    if (named != wanted)
      throw invalid_problem(at("log2phy", i, experts),
                            "doesn't name the slots where phy2log has that expert");
  }
  return plan;
}

}  // namespace shunt
