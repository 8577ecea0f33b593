#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Changes the previous placement by at most `moves` experts per layer such that it stays balanced
/// in the windows to come.
/// A change gives a slot to another expert (one move) or swaps two experts on two ranks (two
/// moves). The change that lowers the score most per move is made while it gains more than `price`
/// per move and moves are left. The score is the mean of max/mean over the current loads and the
/// last `windows` - 1 of the history. No change puts an expert on a rank twice or removes an
/// expert's last replica. Budgets of `fresh_from` moves or more also try a fresh solution by
/// `first`, changed back until the budget holds; the better one stands.
/// Without a previous placement `first` solves the problem and, with a history, its placement is
/// changed with 2 S moves. If groups of experts stay on nodes, a replica only goes to the node that
/// has most of its group. Infeasible: as `first`, or a previous placement that lacks an expert.
/// See docs/expert-solvers.md.
/// Throws what validate throws, and invalid_problem if a setting is out of range.
/// Complexity: O(moves x windows x S (E N + S)) per layer, plus that of `first` if it runs.
struct incremental {
  static constexpr std::string_view name = "incremental";

  std::int32_t moves = 2;  ///< Most experts per layer that ranks newly receive.
  /// Windows in the score, the current one included; windows that the history lacks are left out.
  std::int32_t windows = 6;
  double price = 0;  ///< Per move, in max/mean: the least gain of a change.
  /// Moves; a smaller budget keeps little of a fresh solution, which costs ten times as much.
  std::int32_t fresh_from = 8;
  balanced first{};

  [[nodiscard]] constexpr solution<expert_placement> operator()(
      expert_layers const& problem) const {
    if (moves < 0)
      throw invalid_problem("moves", "must be at least 0, is " + std::to_string(moves));
    if (windows < 1)
      throw invalid_problem("windows", "must be at least 1, is " + std::to_string(windows));
    if (!(price >= 0)) throw invalid_problem("price", "must be at least 0");
    if (fresh_from < 0)
      throw invalid_problem("fresh_from", "must be at least 0, is " + std::to_string(fresh_from));
    validate(problem);
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
      if (!state.place(before)) {
        answer.plan = {};
        answer.status = status::infeasible;
        answer.reason = "previous[" + std::to_string(l.value()) + "]: lacks an expert";
        return answer;
      }
      had.assign(state.experts() * problem.slots_per_rank.size(), 0);
      for (std::size_t s = 0; s < before.size(); ++s)
        had[state.rank_of(s) * state.experts() + before[s].index()] = 1;
      homes = homes_of(problem, answer.plan, l);
      home_rule const may_go{&state, &homes, problem.ranks_per_node};
      for (std::int32_t left = moves; left > 0;) {
        std::int32_t const used = change(state, left, may_go, [](auto, auto, auto) { return 1; });
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

 private:
  /// Returns the node of each expert's group, or nothing if experts may go anywhere.
  static constexpr std::vector<node_id> homes_of(expert_layers const& problem,
                                                 expert_placement const& plan, layer_id l) {
    std::vector<node_id> homes;
    if (problem.groups == 0 || problem.nodes() == 1) return homes;
    auto const of_groups = group_homes(problem, plan, l);
    auto const sizes = deal_slots(problem.experts, problem.groups);
    for (std::size_t g = 0; g < of_groups.size(); ++g)
      homes.insert(homes.end(), static_cast<std::size_t>(sizes[g]), of_groups[g]);
    return homes;
  }

  /// Tells whether expert e may come to the rank of slot s.
  struct home_rule {
    detail::windowed_placement const* state;
    std::vector<node_id> const* homes;
    std::int32_t ranks_per_node;

    constexpr bool operator()(std::size_t e, std::size_t s) const {
      return homes->empty() ||
             (*homes)[e].index() == state->rank_of(s) / static_cast<std::size_t>(ranks_per_node);
    }
  };

  /// Changes every layer of a placement with 2 S moves.
  constexpr void settle(expert_layers const& problem, detail::windowed_placement& state,
                        expert_placement& plan) const {
    for (layer_id l : ids<layer_id>(problem.layers)) {
      state.load(problem, l);
      state.place(plan.layer(l));
      auto const homes = homes_of(problem, plan, l);
      home_rule const may_go{&state, &homes, problem.ranks_per_node};
      for (std::int32_t left = 2 * problem.slots(), used = 1; left > 0 && used > 0; left -= used)
        used = change(state, left, may_go, [](auto, auto, auto) { return 1; });
      std::copy(state.slots().begin(), state.slots().end(), plan.layer(l).begin());
    }
  }

  constexpr std::vector<expert_placement> solved_anew(expert_layers const& problem,
                                                      detail::windowed_placement& state) const {
    std::vector<expert_placement> fresh;
    if (moves < fresh_from) return fresh;
    auto answer = first(problem);
    if (!answer.has_plan()) return fresh;
    settle(problem, state, answer.plan);
    fresh.push_back(keep_ranks{}(problem, answer.plan).plan);
    return fresh;
  }

  /// Makes the best change of at most `left` moves. `may_go(b, s)`: whether slot s may get expert
  /// b; `cost(s, a, b)`: moves of slot s if it gives up expert a for b.
  /// Returns the moves taken, 0 if no change gains more than `price` per move.
  constexpr std::int32_t change(detail::windowed_placement& state, std::int32_t left,
                                auto const& may_go, auto const& cost) const {
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
    for (std::size_t s = 0; s < slots.size(); ++s) {
      std::size_t const a = slots[s].index(), r = state.rank_of(s);
      for (std::size_t b = 0; b < state.experts(); ++b) {
        if (state.held(b, r) > 0 || state.copies(a) == 1 || !may_go(b, s)) continue;
        std::int32_t const moved = cost(s, a, b);
        if (moved <= left) consider(moved, state.score_with(s, b), s, b, false);
      }
      for (std::size_t t = s + 1; t < slots.size(); ++t) {
        std::size_t const b = slots[t].index();
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

  /// What a slot's change from expert a to b adds to the experts moved since the previous
  /// placement, from -1 to 1.
  struct net_cost {
    detail::windowed_placement const& state;
    std::span<char const> had;  ///< by rank and expert

    constexpr std::int32_t operator()(std::size_t s, std::size_t a, std::size_t b) const {
      std::size_t const r = state.rank_of(s);
      std::int32_t const saved = state.held(a, r) == 1 && !had[r * state.experts() + a];
      return (had[r * state.experts() + b] ? 0 : 1) - saved;
    }
  };

  /// Makes changes while one gains and fits; every change lowers the score, and at most 2 S are
  /// made.
  constexpr void refine(detail::windowed_placement& state, std::span<char const> had,
                        auto const& may_go, std::int32_t left) const {
    for (std::size_t k = 0; k < 2 * state.slots().size(); ++k) {
      double const before = state.score();
      left -= change(state, left, may_go, net_cost{state, had});
      if (!(state.score() < before)) return;
    }
  }

  /// Takes changes back until `cost` is within the budget.
  /// Returns false if no more can be taken back.
  constexpr bool take_back(detail::windowed_placement& state, std::span<char const> had,
                           auto const& may_go, std::int32_t& cost) const {
    auto const slots = state.slots();
    net_cost const net{state, had};
    while (cost > moves) {
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
};
static_assert(solver_for<incremental, expert_layers>);

}  // namespace shunt
