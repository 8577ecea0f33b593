#pragma once
#include "shunt/solve/experts/search/move_front.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/search/move_walk.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR move_front::move_front(expert_layers const& one, double balance)
    : one_(one),
      balance_(std::max(balance, max_over_mean_bound(one, 0) * (1 + 1e-12))),
      state_(one, 1),
      changes_(one, state_, 0),
      plan_(unplaced(one).plan) {
  plan_.expert_of = one.previous;
  changes_.begin(one.previous);
}

SHUNT_CONSTEXPR double move_front::measured() {
  plan_.expert_of = copy();
  return max_over_mean(one_.loads, plan_, 0);
}

SHUNT_CONSTEXPR void move_front::add() {
  std::int32_t const moves = changes_.moved();
  // a new placement may repeat experts in slots that were empty, and so move fewer
  if (!points_.empty() && moves < points_.front().moves) return;
  double const ratio = measured();
  for (auto const& p : points_)
    if (p.moves <= moves && p.max_over_mean <= ratio) return;
  points_.push_back({.moves = moves, .max_over_mean = ratio, .slots = plan_.expert_of});
}

SHUNT_CONSTEXPR std::vector<expert_id> move_front::copy() const {
  std::vector<expert_id> now(state_.slots().begin(), state_.slots().end()), kept = now, rest;
  std::vector<std::int32_t> spare(state_.experts(), 0);
  std::vector<std::size_t> open;
  for (std::size_t first = 0, last = 0; first < now.size(); first = last) {
    for (; last < now.size() && state_.rank_of(last) == state_.rank_of(first); ++last)
      ++spare[now[last].index()];
    open.clear();
    rest.clear();
    for (std::size_t s = first; s < last; ++s) {
      expert_id const old = one_.previous[s];
      if (old != expert_id{-1} && spare[old.index()] > 0) {
        --spare[old.index()];
        kept[s] = old;
      } else {
        open.push_back(s);
      }
    }
    for (std::size_t s = first; s < last; ++s)
      for (; spare[now[s].index()] > 0; --spare[now[s].index()]) rest.push_back(now[s]);
    for (std::size_t i = 0; i < open.size(); ++i) kept[open[i]] = rest[i];
  }
  return kept;
}

SHUNT_CONSTEXPR std::int32_t move_front::begin() {
  state_.load(one_, 0);
  homes_ = placement_changes::homes_of(one_, plan_, 0);
  changes_.go_home(homes_);
  if (!state_.place(one_.previous)) changes_.complete();
  changes_.refine(0);
  for (std::size_t k = 0; k < state_.slots().size() && changes_.relocate(); ++k) {}
  add();
  return points_.front().moves;
}

SHUNT_CONSTEXPR void move_front::grow() {
  std::int32_t most = points_.front().moves;
  auto now = copy();
  auto before = now;  // the placement of one move less
  double score = state_.score();
  for (int idle = 0; idle < 2 && measured() > balance_ && state_.may_search();) {
    ++most;
    changes_.refine(most - changes_.moved());
    double next = state_.score();
    auto found = copy();
    state_.place(before);
    changes_.refine(most - changes_.moved());
    if (state_.score() < next) {
      next = state_.score();
      found = copy();
    }
    idle = next < score ? 0 : idle + 1;
    score = next;
    before = std::move(now);
    now = std::move(found);
    state_.place(now);
    add();
  }
}

SHUNT_CONSTEXPR void move_front::take_back(expert_placement const& fresh) {
  double const worst = points_.front().max_over_mean;
  state_.load(one_, 0);
  state_.place(fresh.layer(0));
  changes_.go_home(placement_changes::homes_of(one_, fresh, 0));
  do {
    changes_.refine(0);
    add();
  } while (measured() < worst && changes_.take_back() > 0);
}

SHUNT_INLINE void move_front::walk(std::int64_t steps, std::uint64_t seed) {
  // the walk has tables of its own
  if (state_.experts() * state_.ranks() > std::size_t{1} << 22) return;
  for (std::uint64_t k = 0; k < 4; ++k) {
    move_walk walk(one_,
                   {.target = balance_ * (1 - 1e-4),
                    .price = k < 2 ? 200 : 400,
                    .slack = k < 2 ? 400 : 800,
                    .seed = seed + k},
                   homes_);
    auto const known = points(std::numeric_limits<std::int32_t>::max());
    walk(k % 2 == 0 ? known.front().slots : known.back().slots, steps);
    for (auto const& slots : walk.best()) {
      state_.place(slots);
      add();
    }
  }
}

SHUNT_CONSTEXPR std::vector<move_front::point> move_front::points(std::int32_t limit) const {
  auto sorted = points_;
  std::sort(sorted.begin(), sorted.end(), [](point const& a, point const& b) {
    return a.moves < b.moves || (a.moves == b.moves && a.max_over_mean < b.max_over_mean);
  });
  std::vector<point> front;
  for (auto& p : sorted) {
    if (!front.empty() && (p.moves > limit || front.back().max_over_mean <= balance_)) break;
    if (front.empty() || p.max_over_mean < front.back().max_over_mean) front.push_back(p);
  }
  return front;
}

}  // namespace shunt::detail
