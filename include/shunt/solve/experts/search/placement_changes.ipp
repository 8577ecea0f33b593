#pragma once
#include "shunt/solve/experts/search/placement_changes.hpp"

#include <algorithm>

#include "shunt/measure/required_moves.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR placement_changes::placement_changes(expert_layers const& problem,
                                                     windowed_placement& state, double price)
    : state_(state),
      price_(price),
      ranks_per_node_(problem.ranks_per_node),
      had_(state.experts() * state.ranks(), 0) {}

SHUNT_CONSTEXPR void placement_changes::begin(std::span<expert_id const> before) {
  std::fill(had_.begin(), had_.end(), char{0});
  for (std::size_t s = 0; s < before.size(); ++s)
    if (before[s] != expert_id{-1})
      had_[state_.rank_of(s) * state_.experts() + before[s].index()] = 1;
}

SHUNT_CONSTEXPR std::vector<node_id> placement_changes::homes_of(expert_layers const& problem,
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

SHUNT_CONSTEXPR bool placement_changes::may_go(std::size_t e, std::size_t s) const {
  return homes_.empty() ||
         homes_[e].index() == state_.rank_of(s) / static_cast<std::size_t>(ranks_per_node_);
}

SHUNT_CONSTEXPR std::int32_t placement_changes::cost(std::size_t s, std::size_t a,
                                                     std::size_t b) const {
  std::size_t const r = state_.rank_of(s);
  std::int32_t const saved = state_.held(a, r) == 1 && !had(a, r);
  return (had(b, r) ? 0 : 1) - saved;
}

SHUNT_CONSTEXPR std::int32_t placement_changes::moved() const {
  std::int32_t sum = 0;
  auto const slots = state_.slots();
  std::vector<std::size_t> seen(state_.experts(), state_.ranks());
  for (std::size_t s = 0; s < slots.size(); ++s) {
    std::size_t const e = slots[s].index(), r = state_.rank_of(s);
    sum += !had(e, r) && seen[e] != r;
    seen[e] = r;
  }
  return sum;
}

SHUNT_CONSTEXPR std::int32_t placement_changes::change(std::int32_t left, bool net) {
  if (!state_.may_search()) return 0;
  auto const slots = state_.slots();
  auto const moves = [&](std::size_t s, std::size_t a, std::size_t b) {
    return net ? cost(s, a, b) : 1;
  };
  double const now = state_.score();
  double best_gain = price_;  // per move
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
  auto const& near = state_.mark_fullest();
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (!state_.may_search()) break;
    std::size_t const a = slots[s].index(), r = state_.rank_of(s);
    bool const full = near.rank[r] != 0;
    for (std::size_t i = 0; i < (full ? state_.experts() : near.experts.size()); ++i) {
      std::size_t const b = full ? i : near.experts[i];
      if (state_.held(b, r) > 0 || state_.copies(a) == 1 || !may_go(b, s)) continue;
      std::int32_t const moved = moves(s, a, b);
      if (moved > left || now - state_.least_with(s, b) <= best_gain * std::max(1, moved)) continue;
      state_.visit(state_.ranks());
      consider(moved, state_.score_with(s, b), s, b, false);
    }
    std::size_t const from = full ? 0 : near.after(s);
    for (std::size_t i = from; i < (full ? slots.size() - s - 1 : near.slots.size()); ++i) {
      std::size_t const t = full ? s + 1 + i : near.slots[i], b = slots[t].index();
      if (state_.held(a, state_.rank_of(t)) > 0 || state_.held(b, r) > 0 || !may_go(b, s) ||
          !may_go(a, t))
        continue;
      std::int32_t const moved = moves(s, a, b) + moves(t, b, a);
      if (moved <= left) consider(moved, state_.score_swapped(s, t), s, t, true);
    }
  }
  if (slot == slots.size()) return 0;
  swapped ? state_.swap(slot, other) : state_.give(slot, other);
  return taken;
}

SHUNT_CONSTEXPR void placement_changes::refine(std::int32_t left) {
  for (std::size_t k = 0; k < 2 * state_.slots().size(); ++k) {
    double const before = state_.score();
    left -= change(left, true);
    if (!(state_.score() < before)) return;
  }
}

SHUNT_CONSTEXPR bool placement_changes::relocate() {
  auto const slots = state_.slots();
  double best = state_.score();
  std::size_t from = slots.size(), back = 0, to = 0;
  for (std::size_t s = 0; s < slots.size() && state_.may_search(); ++s) {
    std::size_t const e = slots[s].index(), r = state_.rank_of(s);
    if (had(e, r)) continue;
    for (std::size_t q = 0; q < state_.experts(); ++q) {
      if (!had(q, r) || state_.held(q, r) > 0 || !may_go(q, s)) continue;
      state_.visit(slots.size() * state_.ranks());
      state_.give(s, q);
      for (std::size_t t = 0; t < slots.size(); ++t) {
        std::size_t const w = slots[t].index(), other = state_.rank_of(t);
        if (other == r || state_.held(e, other) > 0 || state_.copies(w) == 1 || !may_go(e, t) ||
            cost(t, w, e) > 1)
          continue;
        if (double const score = state_.score_with(t, e); score < best) {
          best = score;
          from = s;
          back = q;
          to = t;
        }
      }
      state_.give(s, e);
    }
  }
  if (from == slots.size()) return false;
  std::size_t const e = slots[from].index();
  state_.give(from, back);
  state_.give(to, e);
  return true;
}

SHUNT_CONSTEXPR std::int32_t placement_changes::take_back() {
  auto const slots = state_.slots();
  std::size_t fresh = 0;
  for (std::size_t s = 0; s < slots.size(); ++s) fresh += !had(slots[s].index(), state_.rank_of(s));
  state_.visit(fresh * (state_.experts() + slots.size()));
  if (!state_.may_search()) return 0;
  double least = 0;
  std::size_t slot = slots.size(), other = 0;
  bool swapped = false;
  std::int32_t saved = 0;
  auto const consider = [&](std::int32_t saves, double after, std::size_t s, std::size_t o,
                            bool swaps) {
    if (double const a_move = (after - state_.score()) / saves;
        slot == slots.size() || a_move < least) {
      least = a_move;
      slot = s;
      other = o;
      swapped = swaps;
      saved = saves;
    }
  };
  for (std::size_t s = 0; s < slots.size(); ++s) {
    std::size_t const a = slots[s].index(), r = state_.rank_of(s);
    if (had(a, r)) continue;
    for (std::size_t b = 0; b < state_.experts(); ++b)
      if (had(b, r) && state_.held(b, r) == 0 && state_.copies(a) > 1 && may_go(b, s) &&
          cost(s, a, b) < 0)
        consider(-cost(s, a, b), state_.score_with(s, b), s, b, false);
    for (std::size_t t = 0; t < slots.size(); ++t) {
      std::size_t const b = slots[t].index(), q = state_.rank_of(t);
      if ((!had(b, r) && !had(a, q)) || state_.held(a, q) > 0 || state_.held(b, r) > 0 ||
          !may_go(b, s) || !may_go(a, t))
        continue;
      std::int32_t const saves = -cost(s, a, b) - cost(t, b, a);
      if (saves > 0) consider(saves, state_.score_swapped(s, t), s, t, true);
    }
  }
  if (slot == slots.size()) return 0;
  swapped ? state_.swap(slot, other) : state_.give(slot, other);
  return saved;
}

SHUNT_CONSTEXPR std::int32_t placement_changes::complete() {
  std::size_t const many = state_.slots().size();
  std::int32_t filled = 0;
  auto const give = [&](std::size_t s, std::size_t b) {
    state_.give(s, b);
    ++filled;
  };
  // the lost experts, the most loaded first, each where the score gets least: in empty slots, else
  // in place of a replica
  std::vector<std::size_t> lost;
  for (std::size_t e = 0; e < state_.experts(); ++e)
    if (state_.copies(e) == 0) lost.push_back(e);
  std::sort(lost.begin(), lost.end(), [&](std::size_t a, std::size_t b) {
    return state_.load_of(a) > state_.load_of(b) ||
           (state_.load_of(a) == state_.load_of(b) && a < b);
  });
  for (std::size_t const b : lost) {
    std::size_t best = many;
    int best_class = 4;
    double least = 0;
    for (std::size_t s = 0; s < many; ++s) {
      int const its_class = (may_go(b, s) ? 0 : 2) + (state_.is_empty(s) ? 0 : 1);
      if (state_.copies(state_.slots()[s].index()) == 1 || its_class > best_class) continue;
      double const score = state_.score_with(s, b);
      if (its_class == best_class && score >= least) continue;
      best = s;
      best_class = its_class;
      least = score;
    }
    give(best, b);
  }
  // the other empty slots: the largest share among the experts that their rank has not
  for (std::size_t s = 0; s < many; ++s) {
    if (!state_.is_empty(s)) continue;
    auto const share = [&](std::size_t e) { return state_.load_of(e) / state_.copies(e); };
    std::size_t best = state_.experts();
    for (int const its_class : {0, 1, 2})
      for (std::size_t e = 0; e < state_.experts() && (its_class == 0 || best == state_.experts());
           ++e) {
        bool const fits = (its_class > 0 || may_go(e, s)) &&
                          (its_class > 1 || state_.held(e, state_.rank_of(s)) == 0);
        if (fits && (best == state_.experts() || share(e) > share(best))) best = e;
      }
    give(s, best);
  }
  return filled;
}

SHUNT_CONSTEXPR std::vector<expert_id> completed_previous(expert_layers const& problem,
                                                          layer_id l) {
  auto const before = problem.previous_of(l);
  if (required_moves(problem, l) == 0 &&
      std::find(before.begin(), before.end(), expert_id{-1}) == before.end())
    return {before.begin(), before.end()};
  windowed_placement state(problem, 1);
  state.load(problem, l);
  auto plan = unplaced(problem).plan;
  plan.expert_of = problem.previous;
  placement_changes changes(problem, state, 0);
  changes.begin(before);
  changes.go_home(placement_changes::homes_of(problem, plan, l));
  if (!state.place(before)) changes.complete();
  return {state.slots().begin(), state.slots().end()};
}

}  // namespace shunt::detail
