#pragma once
#include "shunt/check/token_split.hpp"

#include <cstddef>

namespace shunt {

SHUNT_INLINE std::string to_string(split_violation const& v) {
  std::string const source = "source " + std::to_string(v.source.value()),
                    slot = "slot " + std::to_string(v.slot.value()),
                    expert = "expert " + std::to_string(v.expert.value());
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  switch (v.what) {
    case split_violation::kind::shape: return "shape" + counts;
    case split_violation::kind::negative:
      return source + ", " + (v.slot.value() < 0 ? "dropped of " + expert : slot) + counts;
    case split_violation::kind::not_conserved:
      return source + ", " + expert + ", sent and dropped" + counts;
    case split_violation::kind::over_capacity: return slot + ", tokens" + counts;
    case split_violation::kind::dropped_with_room:
      return expert + " drops tokens while " + slot + " has room" + counts;
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<split_violation> check(routed_tokens const& problem,
                                                   token_split const& plan) {
  using kind = split_violation::kind;
  std::vector<split_violation> found;
  auto const sources = problem.first_slot.size() - 1, slots = problem.expert_of.size(),
             experts = static_cast<std::size_t>(problem.experts);
  auto const expect = [&](std::int64_t is, std::size_t wanted) {
    if (is != static_cast<std::int64_t>(wanted))
      found.push_back(
          {.what = kind::shape, .found = is, .wanted = static_cast<std::int64_t>(wanted)});
  };
  expect(plan.sources, sources);
  expect(plan.slots, slots);
  expect(plan.experts, experts);
  expect(static_cast<std::int64_t>(plan.tokens.size()), sources * slots);
  expect(static_cast<std::int64_t>(plan.dropped.size()), sources * experts);
  if (!found.empty()) return found;

  std::vector<std::int64_t> of_slot(slots, 0), of_expert(experts, 0), dropped(experts, 0);
  for (std::size_t i = 0; i < sources; ++i) {
    of_expert.assign(experts, 0);
    for (std::size_t s = 0; s < slots; ++s) {
      std::int64_t const sent = plan.tokens[i * slots + s];
      if (sent < 0)
        found.push_back({.what = kind::negative, .source = i, .slot = s, .found = sent});
      of_expert[problem.expert_of[s].index()] += sent;
      of_slot[s] += sent;
    }
    for (std::size_t e = 0; e < experts; ++e) {
      std::int64_t const drop = plan.dropped[i * experts + e];
      if (drop < 0)
        found.push_back(
            {.what = kind::negative, .source = i, .slot = -1, .expert = e, .found = drop});
      std::int64_t const routed_there = problem.counts[i * experts + e];
      if (of_expert[e] + drop != routed_there)
        found.push_back({.what = kind::not_conserved,
                         .source = i,
                         .expert = e,
                         .found = of_expert[e] + drop,
                         .wanted = routed_there});
      dropped[e] += drop;
    }
  }
  for (std::size_t s = 0; s < slots; ++s) {
    std::size_t const e = problem.expert_of[s].index();
    if (of_slot[s] > problem.capacity)
      found.push_back({.what = kind::over_capacity,
                       .slot = s,
                       .expert = e,
                       .found = of_slot[s],
                       .wanted = problem.capacity});
    if (of_slot[s] < problem.capacity && dropped[e] > 0)
      found.push_back({.what = kind::dropped_with_room,
                       .slot = s,
                       .expert = e,
                       .found = of_slot[s],
                       .wanted = problem.capacity});
  }
  return found;
}

}  // namespace shunt
