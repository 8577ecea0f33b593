#pragma once
#include "shunt/check/shard_map.hpp"

#include <cstddef>

namespace shunt {

SHUNT_INLINE std::string to_string(shard_violation const& v) {
  std::string const shard =
      "expert " + std::to_string(v.expert.value()) + ", shard " + std::to_string(v.index);
  std::string const counts =
      ": found " + std::to_string(v.found) + ", wanted " + std::to_string(v.wanted);
  switch (v.what) {
    case shard_violation::kind::expert_count: return "experts" + counts;
    case shard_violation::kind::element_count: return "elements" + counts;
    case shard_violation::kind::unknown_owner:
      return shard + ": owner " + std::to_string(v.found) + " of " + std::to_string(v.wanted) +
             " ranks";
    case shard_violation::kind::bad_mirror:
      return shard + ": mirror " + std::to_string(v.found) + " of " + std::to_string(v.wanted) +
             " ranks isn't one, or holds it already";
    case shard_violation::kind::empty_shard: return shard + ", end of an empty shard" + counts;
    case shard_violation::kind::gap: return shard + ", elements left out before it" + counts;
    case shard_violation::kind::overlap:
      return shard + ", elements twice or beyond the end" + counts;
  }
  return "unknown violation";
}

SHUNT_CONSTEXPR std::vector<shard_violation> check(optimizer_state const& problem,
                                                   shard_map const& plan) {
  using kind = shard_violation::kind;
  std::vector<shard_violation> found;
  if (plan.elements != problem.elements)
    found.push_back(
        {.what = kind::element_count, .found = plan.elements, .wanted = problem.elements});
  if (plan.shards.size() != static_cast<std::size_t>(problem.experts))
    found.push_back({.what = kind::expert_count,
                     .found = static_cast<std::int64_t>(plan.shards.size()),
                     .wanted = problem.experts});
  for (std::size_t e = 0; e < plan.shards.size(); ++e) {
    std::int64_t covered = 0, index = 0;
    auto const require_equal = [&](std::int64_t is, std::int64_t wanted) {
      if (is != wanted)
        found.push_back({.what = is > wanted ? kind::gap : kind::overlap,
                         .expert = e,
                         .index = index,
                         .found = is,
                         .wanted = wanted});
    };
    for (shard const& s : plan.shards[e]) {
      if (s.owner.value() < 0 || s.owner.value() >= problem.ranks)
        found.push_back({.what = kind::unknown_owner,
                         .expert = e,
                         .index = index,
                         .found = s.owner.value(),
                         .wanted = problem.ranks});
      for (std::size_t i = 0; i < s.mirrors.size(); ++i) {
        bool again = s.mirrors[i] == s.owner || s.mirrors[i].value() < 0 ||
                     s.mirrors[i].value() >= problem.ranks;
        for (std::size_t j = 0; j < i; ++j) again = again || s.mirrors[j] == s.mirrors[i];
        if (again)
          found.push_back({.what = kind::bad_mirror,
                           .expert = e,
                           .index = index,
                           .found = s.mirrors[i].value(),
                           .wanted = problem.ranks});
      }
      if (s.end <= s.begin)
        found.push_back({.what = kind::empty_shard,
                         .expert = e,
                         .index = index,
                         .found = s.end,
                         .wanted = s.begin + 1});
      require_equal(s.begin, covered);
      covered = s.end;
      ++index;
    }
    require_equal(problem.elements, covered);
  }
  return found;
}

}  // namespace shunt
