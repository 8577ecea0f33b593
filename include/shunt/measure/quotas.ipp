#pragma once
#include "shunt/measure/quotas.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<rank_id> home_ranks(expert_layers const& problem) {
  validate(problem);
  if (problem.slots() != problem.experts)
    throw invalid_problem("slots_per_rank",
                          std::to_string(problem.slots()) + " slots are no homes for " +
                              std::to_string(problem.experts) + " experts, one each");
  std::vector<rank_id> rank_of;
  for (rank_id r : ids<rank_id>(problem.ranks()))
    for (std::int32_t k = 0; k < problem.slots_per_rank[r.index()]; ++k) rank_of.push_back(r);
  auto const experts = static_cast<std::size_t>(problem.experts);
  std::vector<rank_id> homes(static_cast<std::size_t>(problem.layers) * experts, rank_id{-1});
  for (layer_id l : ids<layer_id>(problem.layers))
    for (std::size_t k = 0; k < experts; ++k) {
      std::size_t const e = problem.previous.empty() ? k : problem.previous_of(l)[k].index();
      if (e >= experts)
        throw invalid_problem("previous[" + std::to_string(l.value()) + "][" + std::to_string(k) +
                                  "]",
                              "is empty: every expert needs a home");
      rank_id& home = homes[l.index() * experts + e];
      if (home != rank_id{-1})
        throw invalid_problem("previous[" + std::to_string(l.value()) + "][" + std::to_string(k) +
                                  "]",
                              "expert " + std::to_string(e) + " has a home already");
      home = rank_of[k];
    }
  return homes;
}

SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> quota_loads(std::span<std::int64_t const> loads,
                                                           std::span<rank_id const> homes,
                                                           std::int32_t ranks,
                                                           std::span<expert_copy const> copies) {
  indexed<rank_id, std::int64_t> sums(static_cast<std::size_t>(ranks), 0);
  for (std::size_t e = 0; e < loads.size(); ++e) sums[homes[e]] += loads[e];
  for (auto const& c : copies) {
    sums[homes[c.expert.index()]] -= c.tokens;
    sums[c.rank] += c.tokens;
  }
  return sums;
}

SHUNT_CONSTEXPR std::int64_t copies_bound(std::span<std::int64_t const> loads,
                                          std::span<rank_id const> homes, std::int32_t ranks,
                                          std::span<char const> live, std::int64_t cap) {
  std::vector<std::int64_t> surplus(static_cast<std::size_t>(ranks), 0), rooms;
  for (std::size_t e = 0; e < loads.size(); ++e) surplus[homes[e].index()] += loads[e];
  std::int64_t all = 0;
  for (std::size_t r = 0; r < surplus.size(); ++r) {
    surplus[r] -= live[r] ? cap : 0;
    if (surplus[r] < 0) rooms.push_back(-surplus[r]);
    all += std::max<std::int64_t>(0, surplus[r]);
  }
  if (all == 0) return 0;
  std::sort(rooms.begin(), rooms.end());
  std::int64_t receivers = 0, taken = 0;
  for (std::size_t i = rooms.size(); i-- > 0 && taken < all; ++receivers) taken += rooms[i];

  struct piece {
    std::size_t rank;
    std::int64_t tokens;
  };
  std::vector<piece> rest;  // the remainder of each expert after whole pieces of the cap
  std::int64_t pieces = 0;
  std::vector<std::int64_t> whole(surplus.size(), 0);
  for (std::size_t e = 0; e < loads.size(); ++e) {
    std::size_t const r = homes[e].index();
    if (surplus[r] <= 0) continue;
    whole[r] += loads[e] / cap;
    rest.push_back({r, loads[e] % cap});
  }
  for (std::size_t r = 0; r < surplus.size(); ++r) {
    if (surplus[r] <= 0) continue;
    std::int64_t const used = std::min(whole[r], ceil_divide(surplus[r], cap));
    pieces += used;
    surplus[r] -= used * cap;
  }
  std::sort(rest.begin(), rest.end(),
            [](piece const& a, piece const& b) { return a.tokens > b.tokens; });
  for (auto const& p : rest) {
    if (surplus[p.rank] <= 0) continue;
    surplus[p.rank] -= p.tokens;
    ++pieces;
  }
  return std::max(pieces, receivers);
}

}  // namespace shunt
