#pragma once
#include "shunt/check/placement.hpp"

#include <cstddef>

namespace shunt {

SHUNT_INLINE std::string to_string(placement_violation const& v) {
  auto const counted = [&](std::string const& what) {
    return what + ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  };
  std::string const layer = "layer " + std::to_string(v.layer.value());
  switch (v.what) {
    case placement_violation::kind::layer_count: return counted("layers");
    case placement_violation::kind::expert_count: return counted("experts");
    case placement_violation::kind::rank_count: return counted("ranks");
    case placement_violation::kind::slot_count:
      return counted("slots of rank " + std::to_string(v.rank.value()));
    case placement_violation::kind::unknown_expert:
      return layer + ", slot " + std::to_string(v.slot.value()) + ": holds expert " +
             std::to_string(v.found) + " of " + std::to_string(v.wanted);
    case placement_violation::kind::no_replica:
      return layer + ": expert " + std::to_string(v.expert.value()) + " has no slot";
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<placement_violation> check(expert_layers const& problem,
                                                       expert_placement const& plan) {
  using kind = placement_violation::kind;
  std::vector<placement_violation> found;
  auto const expect = [&](kind what, rank_id rank, std::int64_t is, std::int64_t wanted) {
    if (is == wanted) return;
    placement_violation const v{.what = what, .rank = rank, .found = is, .wanted = wanted};
    found.push_back(v);
  };
  expect(kind::layer_count, 0, plan.layers, problem.layers);
  expect(kind::expert_count, 0, plan.experts, problem.experts);
  auto const ranks = static_cast<std::int64_t>(problem.slots_per_rank.size());
  expect(kind::rank_count, 0, static_cast<std::int64_t>(plan.first_slot.size()) - 1, ranks);
  if (!found.empty()) return found;

  std::int64_t slots = 0;
  expect(kind::slot_count, 0, plan.first_slot[0], 0);
  for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r) {
    expect(kind::slot_count, r, std::int64_t{plan.first_slot[r + 1]} - plan.first_slot[r],
           problem.slots_per_rank[r]);
    slots += problem.slots_per_rank[r];
  }
  expect(kind::slot_count, ranks, static_cast<std::int64_t>(plan.expert_of.size()),
         slots * problem.layers);
  if (!found.empty()) return found;

  std::vector<bool> placed(static_cast<std::size_t>(problem.experts), false);
  for (std::int32_t l = 0; l < problem.layers; ++l) {
    placed.assign(placed.size(), false);
    for (std::int64_t s = 0; s < slots; ++s) {
      expert_id const e = plan.expert_of[static_cast<std::size_t>(l * slots + s)];
      if (e.value() < 0 || e.value() >= problem.experts)
        found.push_back({.what = kind::unknown_expert,
                         .layer = l,
                         .slot = s,
                         .found = e.value(),
                         .wanted = problem.experts});
      else
        placed[e.index()] = true;
    }
    for (std::int32_t e = 0; e < problem.experts; ++e)
      if (!placed[static_cast<std::size_t>(e)])
        found.push_back({.what = kind::no_replica, .layer = l, .expert = e});
  }
  return found;
}

}  // namespace shunt
