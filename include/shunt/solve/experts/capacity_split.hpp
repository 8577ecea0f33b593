#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/host_device.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// One layer's tokens as plain pointers, for host and device: what routed_tokens holds, and where the answer goes.
struct token_split_arrays {
  std::int32_t sources = 0, experts = 0, slots = 0;
  std::int64_t capacity = dropless;          ///< tokens a slot takes
  std::int64_t const* counts = nullptr;      ///< sources x experts
  std::int32_t const* first_slot = nullptr;  ///< sources + 1
  std::int64_t* tokens = nullptr;            ///< sources x slots, all 0 before
  std::int64_t* dropped = nullptr;           ///< sources x experts
};

/// Splits the tokens of one expert over its slots, `hosted[0 .. replicas)` in ascending order. `room` has one entry a replica.
/// Experts touch disjoint parts of the answer, so that a device can take one block each.
SHUNT_HD constexpr void split_expert(token_split_arrays const& a, std::int32_t expert, std::int32_t const* hosted, std::int32_t replicas,
                                     std::int64_t* room) {
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < a.sources; ++i) total += a.counts[std::int64_t{i} * a.experts + expert];
  std::int64_t kept = 0;
  if (replicas > 0) kept = a.capacity >= (total + replicas - 1) / replicas ? total : a.capacity * replicas;
  for (std::int32_t k = 0; k < replicas; ++k) room[k] = kept / replicas + (k < kept % replicas);

  // what each source drops, and what it sends to its own slots
  std::int64_t const excess = total - kept;
  std::int64_t before = 0, left = kept;
  std::int32_t k = 0;
  for (std::int32_t i = 0; i < a.sources; ++i) {
    std::int64_t const count = a.counts[std::int64_t{i} * a.experts + expert];
    std::int64_t const drop = total == 0 ? 0 : excess * (before + count) / total - excess * before / total;
    a.dropped[std::int64_t{i} * a.experts + expert] = drop;
    before += count;
    std::int64_t own = count - drop;
    for (; k < replicas && hosted[k] < a.first_slot[i + 1]; ++k) {
      std::int64_t const here = own < room[k] ? own : room[k];
      a.tokens[std::int64_t{i} * a.slots + hosted[k]] = here;
      room[k] -= here;
      own -= here;
      left -= here;
    }
  }

  // the rest, source by source, in proportion to the room that is left
  std::int32_t mine = 0;
  for (std::int32_t i = 0; i < a.sources && left > 0; ++i) {
    std::int64_t rest = a.counts[std::int64_t{i} * a.experts + expert] - a.dropped[std::int64_t{i} * a.experts + expert];
    for (; mine < replicas && hosted[mine] < a.first_slot[i + 1]; ++mine) rest -= a.tokens[std::int64_t{i} * a.slots + hosted[mine]];
    if (rest == 0) continue;
    std::int64_t const phase = left * i / a.sources;  // where rounding starts, so that single tokens of many sources spread out
    std::int64_t sum = 0, sent = 0;
    for (std::int32_t j = 0; j < replicas; ++j) {
      if (room[j] == 0) continue;
      sum += room[j];
      std::int64_t const here = (rest * sum + phase) / left - sent;
      a.tokens[std::int64_t{i} * a.slots + hosted[j]] += here;
      room[j] -= here;
      sent += here;
    }
    left -= rest;
  }
}

/// The exact token split over replicas: SYMI leaves it open, the rule is that of Lazarus' dispatcher (arXiv 2407.04656) in integers.
///
/// An expert with T tokens and r slots of capacity C keeps K = min(T, r C) of them, and each of its slots takes K/r, the first K mod r one
/// more. Drops (T - K) are shared out over the sources in proportion to their tokens: the first i sources together drop the floor of
/// their share. A rank's tokens go to its own slots first; then, rank by rank, the rest goes to the other slots in proportion to the
/// room they have left, rounded so that every sum is exact. Which tokens of a rank drop is the caller's choice; in order, the last ones.
///
/// Objective: tokens dropped; the lower bound, sum of T - K, is always met. O(sources x slots). Every quantity is below 2^62 since
/// validate holds an expert's tokens below 2^31. Infeasible: without a capacity, an expert that has tokens but no slot. Throws what
/// validate throws.
struct capacity_split {
  static constexpr std::string_view name = "capacity_split";

  [[nodiscard]] constexpr solution<token_split> operator()(routed_tokens const& problem) const {
    validate(problem);
    solution<token_split> answer;
    auto const ranks = static_cast<std::size_t>(problem.ranks()), experts = static_cast<std::size_t>(problem.experts);
    auto const slots = static_cast<std::size_t>(problem.slots());

    // the slots of each expert, ascending
    std::vector<std::int32_t> first(experts + 1, 0), hosted(slots, 0);
    for (expert_id const e : problem.expert_of) ++first[e.index() + 1];
    for (std::size_t e = 0; e < experts; ++e) first[e + 1] += first[e];
    auto next = first;
    for (std::size_t s = 0; s < slots; ++s)
      hosted[static_cast<std::size_t>(next[problem.expert_of[s].index()]++)] = static_cast<std::int32_t>(s);

    token_split& plan = answer.plan;
    plan.sources = problem.ranks();
    plan.slots = problem.slots();
    plan.experts = problem.experts;
    plan.tokens.resize(ranks * slots, 0);
    plan.dropped.resize(ranks * experts, 0);
    std::vector<std::int64_t> room(slots, 0);
    token_split_arrays const arrays{.sources = plan.sources,
                                    .experts = plan.experts,
                                    .slots = plan.slots,
                                    .capacity = problem.capacity,
                                    .counts = problem.counts.data(),
                                    .first_slot = problem.first_slot.data(),
                                    .tokens = plan.tokens.data(),
                                    .dropped = plan.dropped.data()};
    std::int64_t dropped = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      auto const at = static_cast<std::size_t>(first[e]);
      split_expert(arrays, static_cast<std::int32_t>(e), hosted.data() + at, first[e + 1] - first[e], room.data() + at);
      for (std::size_t r = 0; r < ranks; ++r) dropped += plan.dropped[r * experts + e];
      if (dropped > 0 && problem.capacity == dropless) {
        answer.plan = {};
        answer.status = status::infeasible;
        answer.reason = "expert_of: expert " + std::to_string(e) + " has " + std::to_string(dropped) + " tokens and no slot";
        return answer;
      }
    }
    answer.objective = answer.lower_bound = static_cast<double>(dropped);
    answer.status = status::optimal;
    return answer;
  }
};
static_assert(solver_for<capacity_split, routed_tokens>);

/// The tokens of one layer with the slots of a placement: `counts` is ranks x experts, row by row.
[[nodiscard]] constexpr routed_tokens routed(expert_placement const& placement, layer_id layer, std::vector<std::int64_t> counts,
                                             std::int64_t capacity = dropless) {
  auto const slots = placement.layer(layer);
  return {.experts = placement.experts,
          .counts = std::move(counts),
          .first_slot = placement.first_slot,
          .expert_of = std::vector<expert_id>(slots.begin(), slots.end()),
          .capacity = capacity};
}

}  // namespace shunt
