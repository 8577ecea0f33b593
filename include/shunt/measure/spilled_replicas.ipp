#pragma once
#include "shunt/measure/spilled_replicas.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<node_id> group_homes(expert_layers const& problem,
                                                 expert_placement const& placement,
                                                 layer_id layer) {
  if (auto const wrong = mismatch(problem, placement, extent::part); !wrong.empty())
    throw std::invalid_argument(wrong);
  if (problem.groups < 1) throw std::invalid_argument("the layers have no groups");
  auto const groups = static_cast<std::size_t>(problem.groups),
             nodes = static_cast<std::size_t>(problem.nodes());
  auto const sizes = deal_slots(problem.experts, problem.groups);
  std::vector<std::size_t> group_of;
  for (std::size_t g = 0; g < groups; ++g)
    group_of.insert(group_of.end(), static_cast<std::size_t>(sizes[g]), g);
  std::vector<std::int32_t> held(groups * nodes, 0);
  auto const slots = placement.layer(layer);
  for (std::int32_t r = 0; r < placement.ranks(); ++r) {
    auto const node =
        static_cast<std::size_t>(problem.ranks_per_node == 0 ? 0 : r / problem.ranks_per_node);
    for (auto s = placement.first_slot[static_cast<std::size_t>(r)];
         s < placement.first_slot[static_cast<std::size_t>(r) + 1]; ++s)
      if (auto const e = slots[static_cast<std::size_t>(s)]; e != expert_id{-1})
        ++held[group_of[e.index()] * nodes + node];
  }
  std::vector<node_id> homes;
  for (std::size_t g = 0; g < groups; ++g) {
    auto const* const row = held.data() + g * nodes;
    homes.emplace_back(std::max_element(row, row + nodes) - row);
  }
  return homes;
}

SHUNT_CONSTEXPR std::int32_t spilled_replicas(expert_layers const& problem,
                                              expert_placement const& placement, layer_id layer) {
  if (problem.groups == 0 || problem.nodes() == 1) return 0;
  auto const homes = group_homes(problem, placement, layer);
  auto const sizes = deal_slots(problem.experts, problem.groups);
  std::vector<node_id> home;
  for (std::size_t g = 0; g < homes.size(); ++g)
    home.insert(home.end(), static_cast<std::size_t>(sizes[g]), homes[g]);
  auto const slots = placement.layer(layer);
  std::int32_t spilled = 0;
  for (std::int32_t r = 0; r < placement.ranks(); ++r) {
    node_id const node = r / problem.ranks_per_node;
    for (auto s = placement.first_slot[static_cast<std::size_t>(r)];
         s < placement.first_slot[static_cast<std::size_t>(r) + 1]; ++s)
      if (auto const e = slots[static_cast<std::size_t>(s)]; e != expert_id{-1})
        spilled += home[e.index()] != node;
  }
  return spilled;
}

}  // namespace shunt
