#pragma once
#include "shunt/solve/experts/exact_placement.hpp"

#include <algorithm>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/swift_moe.hpp"

namespace shunt {

SHUNT_INLINE solution<expert_placement> exact_placement::operator()(
    expert_layers const& problem) const {
  auto answer = swift_moe{}(problem);
  if (!answer.has_plan()) return answer;
  double proved = 0;
  bool whole = true;
  for (layer_id l : ids<layer_id>(problem.layers)) {
    search s(problem, l, effort, max_over_mean(problem.loads_of(l), answer.plan, l));
    s.run();
    if (!s.found.empty()) std::copy(s.found.begin(), s.found.end(), answer.plan.layer(l).begin());
    bool const done = s.effort > 0;
    whole = whole && done;
    proved +=
        done ? max_over_mean(problem.loads_of(l), answer.plan, l) : max_over_mean_bound(problem, l);
  }
  answer = evaluated(problem, std::move(answer.plan));
  answer.lower_bound =
      std::max(answer.lower_bound, std::min(answer.objective, proved / problem.layers));
  if (whole) {
    answer.lower_bound = answer.objective;
    answer.status = status::optimal;
  }
  return answer;
}

SHUNT_INLINE exact_placement::search::search(expert_layers const& p, layer_id l, std::int64_t nodes,
                                             double known)
    : problem(p),
      loads(p.loads_of(l)),
      effort(nodes),
      best(0),
      target(0),
      copies(loads.size(), 1),
      free(p.slots_per_rank),
      order(loads.size()),
      load(free.size(), 0),
      given(loads.size(), std::vector<std::int32_t>(free.size(), 0)) {
  double total = 0;
  for (auto const x : loads) total += static_cast<double>(x);
  for (auto const s : free) live += s > 0;
  best = known * total / live;
  target = max_over_mean_bound(p, l) * total / live;
}

SHUNT_INLINE void exact_placement::search::count(std::size_t e, std::int32_t spare) {
  if (over()) return;
  --effort;
  auto const weight = static_cast<double>(loads[e]);
  if (e + 1 == loads.size()) {
    copies[e] = 1 + spare;
    if (hopeless(weight / std::min(copies[e], live))) return;
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
      return share(a) > share(b) || (share(a) == share(b) && a < b);
    });
    place(0, 0, copies[order[0]]);
    return;
  }
  for (std::int32_t more = 0; more <= spare; ++more) {
    copies[e] = 1 + more;
    if (!hopeless(weight / std::min(copies[e], live))) count(e + 1, spare - more);
  }
}

SHUNT_INLINE void exact_placement::search::place(std::size_t i, std::size_t r, std::int32_t left) {
  if (over()) return;
  --effort;
  if (left == 0) {
    if (i + 1 < order.size()) return place(i + 1, 0, copies[order[i + 1]]);
    best = *std::max_element(load.begin(), load.end());
    found.clear();
    for (std::size_t q = 0; q < load.size(); ++q)
      for (std::size_t e = 0; e < given.size(); ++e)
        found.insert(found.end(), static_cast<std::size_t>(given[e][q]), expert_id{e});
    return;
  }
  if (r == load.size()) return;
  std::size_t const e = order[i];
  double const each = share(e), before = load[r];
  std::int32_t const room = free[r];
  std::int32_t most = std::min(room, left);
  for (std::size_t q = r; q-- > 0;)  // the previous equal rank limits this one
    if (free[q] + given[e][q] == room && load[q] - given[e][q] * each == before) {
      most = std::min(most, given[e][q]);
      break;
    }
  for (std::int32_t k = most; k >= 0; --k) {
    if (k > 0 && hopeless(before + k * each)) continue;
    given[e][r] = k;
    free[r] = room - k;
    load[r] = before + k * each;
    place(i, r + 1, left - k);
  }
  given[e][r] = 0;
  free[r] = room;
  load[r] = before;
}

}  // namespace shunt
