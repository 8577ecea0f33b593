#pragma once
#include "shunt/check/token_quotas.hpp"

#include <cstddef>

#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_INLINE std::string to_string(quota_violation const& v) {
  std::string const layer = "layer " + std::to_string(v.layer.value()) + ", ",
                    rank = "rank " + std::to_string(v.rank.value()),
                    expert = "expert " + std::to_string(v.expert.value());
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  switch (v.what) {
    case quota_violation::kind::shape: return layer + "first_copy" + counts;
    case quota_violation::kind::unknown:
      return layer + expert + " on " + rank + ": no such expert or no live rank";
    case quota_violation::kind::not_positive:
      return layer + expert + " on " + rank + ", tokens" + counts;
    case quota_violation::kind::at_home:
      return layer + expert + " on " + rank + ": that is its home";
    case quota_violation::kind::twice: return layer + expert + " on " + rank + ": twice";
    case quota_violation::kind::too_many: return layer + expert + ", tokens of its copies" + counts;
    case quota_violation::kind::over_cap: return layer + rank + ", tokens" + counts;
    case quota_violation::kind::no_homes: return "slots that are homes" + counts;
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<quota_violation> check(expert_layers const& problem,
                                                   token_quotas const& plan, std::int64_t numerator,
                                                   std::int64_t denominator) {
  using kind = quota_violation::kind;
  std::vector<quota_violation> found;
  if (plan.layers() != problem.layers) {
    found.push_back({.what = kind::shape, .found = plan.layers(), .wanted = problem.layers});
    return found;
  }
  std::int64_t before = 0;
  for (std::int32_t l = 0; l <= problem.layers; ++l) {
    std::int64_t const at = plan.first_copy[static_cast<std::size_t>(l)];
    bool const last = l == problem.layers;
    if (at < before || (l == 0 && at != 0) ||
        (last && at != static_cast<std::int64_t>(plan.copies.size())))
      found.push_back({.what = kind::shape,
                       .layer = l,
                       .found = at,
                       .wanted = last ? static_cast<std::int64_t>(plan.copies.size()) : before});
    before = at;
  }
  if (!found.empty()) return found;

  auto const experts = static_cast<std::size_t>(problem.experts),
             ranks = problem.slots_per_rank.size();
  std::int64_t live = 0;
  std::vector<std::size_t> rank_of;
  for (std::size_t r = 0; r < ranks; ++r) {
    live += problem.slots_per_rank[r] > 0;
    rank_of.insert(rank_of.end(), static_cast<std::size_t>(problem.slots_per_rank[r]), r);
  }
  if (rank_of.size() != experts) {
    found.push_back({.what = kind::no_homes,
                     .found = static_cast<std::int64_t>(rank_of.size()),
                     .wanted = problem.experts});
    return found;
  }
  std::vector<std::size_t> home(experts, 0);
  std::vector<std::int64_t> load(ranks, 0), taken(experts, 0);
  std::vector<bool> there(ranks * experts, false);
  for (std::int32_t l = 0; l < problem.layers; ++l) {
    auto const row = static_cast<std::size_t>(l) * experts;
    load.assign(ranks, 0);
    taken.assign(experts, 0);
    there.assign(ranks * experts, false);
    std::int64_t total = 0;
    for (std::size_t k = 0; k < experts; ++k) {
      std::size_t const e = problem.previous.empty() ? k : problem.previous[row + k].index();
      if (e >= experts) continue;  // an empty slot is no home
      home[e] = rank_of[k];
      load[home[e]] += problem.loads[row + e];
      total += problem.loads[row + e];
    }
    for (std::int32_t i = plan.first_copy[static_cast<std::size_t>(l)];
         i < plan.first_copy[static_cast<std::size_t>(l) + 1]; ++i) {
      auto const& c = plan.copies[static_cast<std::size_t>(i)];
      auto const wrong = [&](kind what) {
        found.push_back({.what = what,
                         .layer = l,
                         .rank = c.rank,
                         .expert = c.expert,
                         .found = c.tokens,
                         .wanted = 1});
      };
      if (c.expert.value() < 0 || c.expert.index() >= experts || c.rank.value() < 0 ||
          c.rank.index() >= ranks || problem.slots_per_rank[c.rank.index()] == 0) {
        wrong(kind::unknown);
        continue;
      }
      if (c.tokens < 1) wrong(kind::not_positive);
      if (home[c.expert.index()] == c.rank.index()) wrong(kind::at_home);
      if (there[c.rank.index() * experts + c.expert.index()]) wrong(kind::twice);
      there[c.rank.index() * experts + c.expert.index()] = true;
      taken[c.expert.index()] += c.tokens;
      load[home[c.expert.index()]] -= c.tokens;
      load[c.rank.index()] += c.tokens;
    }
    for (std::size_t e = 0; e < experts; ++e)
      if (taken[e] > problem.loads[row + e])
        found.push_back({.what = kind::too_many,
                         .layer = l,
                         .expert = e,
                         .found = taken[e],
                         .wanted = problem.loads[row + e]});
    std::int64_t const cap = ceil_divide(total * numerator, live * denominator);
    for (std::size_t r = 0; r < ranks; ++r)
      if (load[r] > cap)
        found.push_back(
            {.what = kind::over_cap, .layer = l, .rank = r, .found = load[r], .wanted = cap});
  }
  return found;
}

}  // namespace shunt
