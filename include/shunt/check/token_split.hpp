#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt {

/// One error in a token split. Ids that a kind doesn't use are 0.
struct split_violation {
  enum class kind : std::uint8_t {
    shape,  ///< sources, slots, experts or the length of a table isn't the problem's
    /// A count below zero: of (source, slot), or of (source, expert) where `slot` is -1.
    negative,
    /// Tokens sent to the slots of an expert plus dropped tokens aren't the tokens routed to it.
    not_conserved,
    over_capacity,      ///< a slot gets more tokens than it takes
    dropped_with_room,  ///< an expert drops tokens although one of its slots has room
  };
  kind what{};
  rank_id source{};
  slot_id slot{};
  expert_id expert{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  constexpr bool operator==(split_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] inline std::string to_string(split_violation const& v) {
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

/// Checks a split: its shape, no negative count, no lost or additional token of a (source, expert),
/// no slot over capacity, and no drop while a slot of the expert has room.
/// Returns all errors, or those of the shape alone. Empty: the plan is valid.
/// Requires a problem that `validate` accepts.
[[nodiscard]] constexpr std::vector<split_violation> check(routed_tokens const& problem,
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
