#pragma once
#include "shunt/check/layer_slots.hpp"

#include <cstddef>

namespace shunt {

SHUNT_INLINE std::string to_string(layer_slots_violation const& v) {
  std::string const layer = "layer " + std::to_string(v.layer.value()),
                    rank = "rank " + std::to_string(v.rank.value());
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  switch (v.what) {
    case layer_slots_violation::kind::shape: return "slots" + counts;
    case layer_slots_violation::kind::negative: return layer + ", " + rank + counts;
    case layer_slots_violation::kind::too_few: return layer + ", slots" + counts;
    case layer_slots_violation::kind::over_memory: return rank + ", slots of all layers" + counts;
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<layer_slots_violation> check(expert_layers const& problem,
                                                         layer_slots const& plan,
                                                         std::span<std::int64_t const> memory) {
  using kind = layer_slots_violation::kind;
  std::vector<layer_slots_violation> found;
  auto const ranks = memory.size(), cells = ranks * static_cast<std::size_t>(problem.layers);
  if (plan.ranks != static_cast<std::int64_t>(ranks) || plan.slots.size() != cells) {
    found.push_back({.what = kind::shape,
                     .found = static_cast<std::int64_t>(plan.slots.size()),
                     .wanted = static_cast<std::int64_t>(cells)});
    return found;
  }
  std::vector<std::int64_t> used(ranks, 0);
  for (std::int32_t l = 0; l < problem.layers; ++l) {
    std::int64_t sum = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      std::int64_t const slots = plan.slots[static_cast<std::size_t>(l) * ranks + r];
      if (slots < 0)
        found.push_back(
            {.what = kind::negative, .layer = l, .rank = r, .found = slots, .wanted = 0});
      sum += slots;
      used[r] += slots;
    }
    if (sum < problem.experts)
      found.push_back({.what = kind::too_few, .layer = l, .found = sum, .wanted = problem.experts});
  }
  for (std::size_t r = 0; r < ranks; ++r)
    if (used[r] > memory[r])
      found.push_back(
          {.what = kind::over_memory, .rank = r, .found = used[r], .wanted = memory[r]});
  return found;
}

}  // namespace shunt
