#pragma once
#include "shunt/measure/survival.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<host_set> minimal_host_sets(expert_placement const& placement,
                                                        layer_id layer) {
  std::vector<host_set> sets;
  for (auto const& hosts : hosts_of(placement, layer)) {
    host_set set;
    for (auto const& h : hosts) set.push_back(h.rank);
    sets.push_back(std::move(set));
  }
  auto const before = [](host_set const& a, host_set const& b) {
    return a.size() < b.size() || (a.size() == b.size() && a < b);
  };
  std::sort(sets.begin(), sets.end(), before);
  std::vector<host_set> minimal;
  for (auto const& set : sets)
    if (std::none_of(minimal.begin(), minimal.end(), [&](host_set const& m) {
          return std::includes(set.begin(), set.end(), m.begin(), m.end());
        }))
      minimal.push_back(set);
  return minimal;
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_CONSTEXPR std::vector<double> product(std::vector<double> const& p,
                                            std::vector<double> const& q) {
  std::vector<double> r(p.size() + q.size() - 1, 0);
  for (std::size_t i = 0; i < p.size(); ++i)
    for (std::size_t j = 0; j < q.size(); ++j) r[i + j] += p[i] * q[j];
  return r;
}

// Returns in entry k the number of sets of k ranks out of `ranks` that contain none of `sets`.
// Requires sets of those ranks only.
SHUNT_CONSTEXPR std::vector<double> sets_avoiding(std::vector<host_set> sets, std::size_t ranks) {
  if (!sets.empty() && sets.front().empty()) return std::vector<double>(ranks + 1, 0);
  // a set that contains another one adds no condition
  std::sort(sets.begin(), sets.end(), [](host_set const& a, host_set const& b) {
    return a.size() < b.size() || (a.size() == b.size() && a < b);
  });
  std::vector<host_set> minimal;
  // a rank and the number of sets that contain it
  std::vector<std::pair<rank_id, std::size_t>> uses;
  for (auto const& set : sets) {
    if (std::any_of(minimal.begin(), minimal.end(), [&](host_set const& m) {
          return std::includes(set.begin(), set.end(), m.begin(), m.end());
        }))
      continue;
    minimal.push_back(set);
    for (rank_id const r : set) {
      auto const at =
          std::find_if(uses.begin(), uses.end(), [&](auto const& u) { return u.first == r; });
      if (at == uses.end())
        uses.emplace_back(r, 1);
      else
        ++at->second;
    }
  }
  auto const most = std::max_element(uses.begin(), uses.end(), [](auto const& a, auto const& b) {
    return a.second < b.second || (a.second == b.second && a.first > b.first);
  });
  // no two sets meet: they are avoided independently
  if (most == uses.end() || most->second == 1) {
    std::vector<double> all(1, 1.0);
    std::size_t left = ranks;
    std::vector<double> const one_rank(2, 1.0);
    for (auto const& set : minimal) {
      std::vector<double> part(1, 1.0);
      for (std::size_t i = 0; i < set.size(); ++i) part = product(part, one_rank);
      part.back() = 0;
      all = product(all, part);
      left -= set.size();
    }
    for (; left > 0; --left) all = product(all, one_rank);
    return all;
  }
  rank_id const r = most->first;
  std::vector<host_set> lives, fails;  // conditions if r lives, and if r fails
  for (auto const& set : minimal) {
    host_set without = set;
    std::erase(without, r);
    if (without.size() == set.size()) lives.push_back(set);
    fails.push_back(std::move(without));
  }
  if (std::any_of(fails.begin(), fails.end(), [](host_set const& s) { return s.empty(); }))
    fails.assign(1, host_set{});
  auto sum = sets_avoiding(std::move(lives), ranks - 1);
  auto const failed = sets_avoiding(std::move(fails), ranks - 1);
  sum.push_back(0);
  for (std::size_t k = 0; k < failed.size(); ++k) sum[k + 1] += failed[k];
  return sum;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR std::vector<double> survivable_failures(expert_placement const& placement,
                                                        layer_id layer) {
  std::size_t live = 0;
  for (std::size_t r = 0; r + 1 < placement.first_slot.size(); ++r)
    live += placement.first_slot[r] < placement.first_slot[r + 1];
  return detail::sets_avoiding(minimal_host_sets(placement, layer), live);
}

SHUNT_CONSTEXPR double survival_chance(expert_placement const& placement, layer_id layer,
                                       std::int32_t failed) {
  auto const survived = survivable_failures(placement, layer);
  auto const live = static_cast<std::int32_t>(survived.size()) - 1;
  if (failed < 0 || failed > live)
    throw invalid_problem("failed", "must be from 0 to " + std::to_string(live) +
                                        " live ranks, is " + std::to_string(failed));
  double all = 1;
  for (std::int32_t i = 0; i < failed; ++i) all = all * (live - i) / (i + 1);
  return survived[static_cast<std::size_t>(failed)] / all;
}

}  // namespace shunt
