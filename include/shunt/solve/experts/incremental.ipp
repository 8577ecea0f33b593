#pragma once
#include "shunt/solve/experts/incremental.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"

namespace shunt {

constexpr std::int32_t incremental::change(detail::windowed_placement& state, std::int32_t left,
                                           auto const& may_go, auto const& cost) const {
  if (!state.may_search()) return 0;
  auto const slots = state.slots();
  double const now = state.score();
  double best_gain = price;  // per move
  std::size_t slot = slots.size(), other = 0;
  bool swapped = false;
  std::int32_t taken = 0;
  auto const consider = [&](std::int32_t moved, double after, std::size_t s, std::size_t o,
                            bool swaps) {
    double const gain = (now - after) / std::max(1, moved);
    if (gain <= best_gain) return;
    best_gain = gain;
    slot = s;
    other = o;
    swapped = swaps;
    taken = moved;
  };
  // what lowers the score relieves the fullest rank of a window
  auto const& near = state.mark_fullest();
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (!state.may_search()) break;
    std::size_t const a = slots[s].index(), r = state.rank_of(s);
    bool const full = near.rank[r] != 0;
    for (std::size_t i = 0; i < (full ? state.experts() : near.experts.size()); ++i) {
      std::size_t const b = full ? i : near.experts[i];
      if (state.held(b, r) > 0 || state.copies(a) == 1 || !may_go(b, s)) continue;
      std::int32_t const moved = cost(s, a, b);
      if (moved > left || now - state.least_with(s, b) <= best_gain * std::max(1, moved)) continue;
      state.visit(state.ranks());
      consider(moved, state.score_with(s, b), s, b, false);
    }
    std::size_t const from = full ? 0 : near.after(s);
    for (std::size_t i = from; i < (full ? slots.size() - s - 1 : near.slots.size()); ++i) {
      std::size_t const t = full ? s + 1 + i : near.slots[i], b = slots[t].index();
      if (state.held(a, state.rank_of(t)) > 0 || state.held(b, r) > 0 || !may_go(b, s) ||
          !may_go(a, t))
        continue;
      std::int32_t const moved = cost(s, a, b) + cost(t, b, a);
      if (moved <= left) consider(moved, state.score_swapped(s, t), s, t, true);
    }
  }
  if (slot == slots.size()) return 0;
  swapped ? state.swap(slot, other) : state.give(slot, other);
  return taken;
}

constexpr void incremental::refine(detail::windowed_placement& state, std::span<char const> had,
                                   auto const& may_go, std::int32_t left) const {
  for (std::size_t k = 0; k < 2 * state.slots().size(); ++k) {
    double const before = state.score();
    left -= change(state, left, may_go, net_cost{state, had});
    if (!(state.score() < before)) return;
  }
}

constexpr bool incremental::take_back(detail::windowed_placement& state, std::span<char const> had,
                                      auto const& may_go, std::int32_t& cost) const {
  auto const slots = state.slots();
  net_cost const net{state, had};
  while (cost > moves) {
    std::size_t fresh = 0;
    for (std::size_t s = 0; s < slots.size(); ++s)
      fresh += !had[state.rank_of(s) * state.experts() + slots[s].index()];
    state.visit(fresh * (state.experts() + slots.size()));
    if (!state.may_search()) return false;
    double least = 0;
    std::size_t slot = slots.size(), other = 0;
    bool swapped = false;
    std::int32_t saved = 0;
    auto const consider = [&](std::int32_t saves, double after, std::size_t s, std::size_t o,
                              bool swaps) {
      if (double const a_move = (after - state.score()) / saves;
          slot == slots.size() || a_move < least) {
        least = a_move;
        slot = s;
        other = o;
        swapped = swaps;
        saved = saves;
      }
    };
    for (std::size_t s = 0; s < slots.size(); ++s) {
      std::size_t const a = slots[s].index(), r = state.rank_of(s);
      if (had[r * state.experts() + a]) continue;
      for (std::size_t b = 0; b < state.experts(); ++b)
        if (state.held(b, r) == 0 && state.copies(a) > 1 && may_go(b, s) && net(s, a, b) < 0)
          consider(-net(s, a, b), state.score_with(s, b), s, b, false);
      for (std::size_t t = 0; t < slots.size(); ++t) {
        std::size_t const b = slots[t].index();
        if (state.held(a, state.rank_of(t)) > 0 || state.held(b, r) > 0 || !may_go(b, s) ||
            !may_go(a, t))
          continue;
        std::int32_t const saves = -net(s, a, b) - net(t, b, a);
        if (saves > 0) consider(saves, state.score_swapped(s, t), s, t, true);
      }
    }
    if (slot == slots.size()) return false;
    swapped ? state.swap(slot, other) : state.give(slot, other);
    cost -= saved;
  }
  return true;
}

SHUNT_CONSTEXPR solution<expert_placement> incremental::operator()(
    expert_layers const& problem) const {
  if (moves < 0) throw invalid_problem("moves", "must be at least 0, is " + std::to_string(moves));
  if (windows < 1)
    throw invalid_problem("windows", "must be at least 1, is " + std::to_string(windows));
  if (!(price >= 0)) throw invalid_problem("price", "must be at least 0");
  if (fresh_from < 0)
    throw invalid_problem("fresh_from", "must be at least 0, is " + std::to_string(fresh_from));
  validate(problem);
  if (std::int64_t{problem.experts} * problem.ranks() > most_pairs)
    throw invalid_problem("experts", std::to_string(problem.experts) + " on " +
                                         std::to_string(problem.ranks()) +
                                         " ranks: incremental is made for up to 2^27 pairs");
  auto answer = problem.previous.empty() ? first(problem) : unplaced(problem);
  if (!answer.has_plan() || (problem.previous.empty() && problem.windows() == 0)) return answer;
  detail::windowed_placement state(problem, std::min(windows, problem.windows() + 1));
  if (problem.previous.empty()) {
    settle(problem, state, answer.plan);
    return evaluated(problem, std::move(answer.plan));
  }
  answer.plan.expert_of = problem.previous;
  auto fresh = solved_anew(problem, state);  // one or none
  std::vector<char> had;
  std::vector<node_id> homes;
  for (layer_id l : ids<layer_id>(problem.layers)) {
    state.load(problem, l);
    auto const before = problem.previous_of(l);
    had.assign(state.experts() * problem.slots_per_rank.size(), 0);
    for (std::size_t s = 0; s < before.size(); ++s)
      if (before[s] != expert_id{-1})
        had[state.rank_of(s) * state.experts() + before[s].index()] = 1;
    homes = homes_of(problem, answer.plan, l);
    home_rule const may_go{&state, &homes, problem.ranks_per_node};
    std::int32_t left = moves;
    if (!state.place(before)) left -= complete(state, may_go);
    while (left > 0) {
      std::int32_t const used =
          change(state, static_cast<std::int32_t>(std::min<std::int64_t>(left, problem.slots())),
                 may_go, [](auto, auto, auto) { return 1; });
      if (used == 0) break;
      left -= used;
    }
    auto const slots = answer.plan.layer(l);
    std::copy(state.slots().begin(), state.slots().end(), slots.begin());
    refine(state, had, may_go, moves - moved_experts(before, answer.plan, l));
    std::copy(state.slots().begin(), state.slots().end(), slots.begin());
    if (fresh.empty()) continue;
    double const now = state.score() + price * moved_experts(before, answer.plan, l);
    state.place(fresh[0].layer(l));
    std::int32_t cost = moved_experts(before, fresh[0], l);
    auto const anew = homes_of(problem, fresh[0], l);
    if (cost > moves && (anew != homes || !take_back(state, had, may_go, cost))) continue;
    homes = anew;  // may_go refers to homes
    refine(state, had, may_go, moves - cost);
    std::copy(state.slots().begin(), state.slots().end(), fresh[0].layer(l).begin());
    if (state.score() + price * moved_experts(before, fresh[0], l) < now)
      std::copy(state.slots().begin(), state.slots().end(), slots.begin());
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR std::vector<node_id> incremental::homes_of(expert_layers const& problem,
                                                           expert_placement const& plan,
                                                           layer_id l) {
  std::vector<node_id> homes;
  if (problem.groups == 0 || problem.nodes() == 1) return homes;
  auto const of_groups = group_homes(problem, plan, l);
  auto const sizes = deal_slots(problem.experts, problem.groups);
  for (std::size_t g = 0; g < of_groups.size(); ++g)
    homes.insert(homes.end(), static_cast<std::size_t>(sizes[g]), of_groups[g]);
  return homes;
}

SHUNT_CONSTEXPR bool incremental::home_rule::operator()(std::size_t e, std::size_t s) const {
  return homes->empty() ||
         (*homes)[e].index() == state->rank_of(s) / static_cast<std::size_t>(ranks_per_node);
}

SHUNT_CONSTEXPR std::int32_t incremental::complete(detail::windowed_placement& state,
                                                   home_rule const& may_go) {
  std::size_t const many = state.slots().size();
  std::int32_t filled = 0;
  auto const give = [&](std::size_t s, std::size_t b) {
    state.give(s, b);
    ++filled;
  };
  // the lost experts, the most loaded first, each where the score gets least: in empty slots, else
  // in place of a replica
  std::vector<std::size_t> lost;
  for (std::size_t e = 0; e < state.experts(); ++e)
    if (state.copies(e) == 0) lost.push_back(e);
  std::sort(lost.begin(), lost.end(), [&](std::size_t a, std::size_t b) {
    return state.load_of(a) > state.load_of(b) || (state.load_of(a) == state.load_of(b) && a < b);
  });
  for (std::size_t const b : lost) {
    std::size_t best = many;
    int best_class = 4;
    double least = 0;
    for (std::size_t s = 0; s < many; ++s) {
      int const its_class = (may_go(b, s) ? 0 : 2) + (state.is_empty(s) ? 0 : 1);
      if (state.copies(state.slots()[s].index()) == 1 || its_class > best_class) continue;
      double const score = state.score_with(s, b);
      if (its_class == best_class && score >= least) continue;
      best = s;
      best_class = its_class;
      least = score;
    }
    give(best, b);
  }
  // the other empty slots: the largest share among the experts that their rank has not
  for (std::size_t s = 0; s < many; ++s) {
    if (!state.is_empty(s)) continue;
    auto const share = [&](std::size_t e) { return state.load_of(e) / state.copies(e); };
    std::size_t best = state.experts();
    for (int const its_class : {0, 1, 2})
      for (std::size_t e = 0; e < state.experts() && (its_class == 0 || best == state.experts());
           ++e) {
        bool const fits = (its_class > 0 || may_go(e, s)) &&
                          (its_class > 1 || state.held(e, state.rank_of(s)) == 0);
        if (fits && (best == state.experts() || share(e) > share(best))) best = e;
      }
    give(s, best);
  }
  return filled;
}

SHUNT_CONSTEXPR void incremental::settle(expert_layers const& problem,
                                         detail::windowed_placement& state,
                                         expert_placement& plan) const {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  for (layer_id l : ids<layer_id>(problem.layers)) {
    state.load(problem, l);
    state.place(plan.layer(l));
    auto const homes = homes_of(problem, plan, l);
    home_rule const may_go{&state, &homes, problem.ranks_per_node};
    for (std::int64_t left = 2 * std::int64_t{problem.slots()}, used = 1; left > 0 && used > 0;
         left -= used)
      used = change(state, static_cast<std::int32_t>(std::min(left, most)), may_go,
                    [](auto, auto, auto) { return 1; });
    std::copy(state.slots().begin(), state.slots().end(), plan.layer(l).begin());
  }
}

SHUNT_CONSTEXPR std::vector<expert_placement> incremental::solved_anew(
    expert_layers const& problem, detail::windowed_placement& state) const {
  std::vector<expert_placement> fresh;
  if (moves < fresh_from) return fresh;
  auto answer = first(problem);
  if (!answer.has_plan()) return fresh;
  settle(problem, state, answer.plan);
  fresh.push_back(keep_ranks{}(problem, answer.plan).plan);
  return fresh;
}

SHUNT_CONSTEXPR std::int32_t incremental::net_cost::operator()(std::size_t s, std::size_t a,
                                                               std::size_t b) const {
  std::size_t const r = state.rank_of(s);
  std::int32_t const saved = state.held(a, r) == 1 && !had[r * state.experts() + a];
  return (had[r * state.experts() + b] ? 0 : 1) - saved;
}

}  // namespace shunt
