#pragma once
#include "shunt/solve/experts/spilled_groups.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt {

/// One layer. Loads are scaled so that all its tokens are below 2^31 and the sum of squared rank
/// loads fits 64 bits.
class spilled_groups::layer_state {
 public:
  SHUNT_CONSTEXPR explicit layer_state(expert_layers const& problem);

  SHUNT_CONSTEXPR void place(expert_layers const& problem, expert_placement const& plan,
                             layer_id l);

  [[nodiscard]] constexpr std::span<expert_id const> slots() const { return slots_; }

  /// Makes the best change after which at most `most` replicas are spilled, or no more than
  /// before.
  /// Returns false if there is none.
  SHUNT_CONSTEXPR bool relieve(std::int32_t most);

 private:
  struct candidate {
    std::int64_t squares = 0;
    std::size_t slot = 0, other = 0;  ///< and the other slot, or the new expert
    bool swaps = false;
  };

  SHUNT_CONSTEXPR std::int32_t away(std::size_t e, std::size_t rank) const;
  SHUNT_CONSTEXPR std::size_t first_of(std::size_t rank) const;
  static SHUNT_CONSTEXPR std::int64_t squares(std::span<std::int64_t const> loads);
  SHUNT_CONSTEXPR bool allowed(std::int32_t more, std::int32_t most) const;

  SHUNT_CONSTEXPR void consider_gift(std::size_t s, std::size_t b, std::size_t fullest,
                                     std::int32_t most);

  SHUNT_CONSTEXPR void consider_swap(std::size_t s, std::size_t t, std::size_t fullest,
                                     std::int32_t most);

  SHUNT_CONSTEXPR std::size_t set(std::size_t s, std::size_t e);

  SHUNT_CONSTEXPR void add_up();

  std::size_t experts_, ranks_;
  std::vector<std::int64_t> weight_, load_, after_, copies_;
  std::vector<std::int32_t> has_;  ///< experts x ranks: replicas
  std::vector<std::size_t> rank_of_{};
  std::vector<node_id> node_of_{}, home_{};  ///< of a rank, of an expert
  std::vector<std::int32_t> sizes_{};        ///< of groups
  std::vector<expert_id> slots_{};
  std::int32_t spilled_ = 0;
  std::size_t changes_ = 0;
  std::int64_t visits_ = 0;
  candidate best_{};
};

SHUNT_CONSTEXPR solution<expert_placement> spilled_groups::operator()(
    expert_layers const& problem) const {
  if (limit < 0) throw invalid_problem("limit", "must be at least 0, is " + std::to_string(limit));
  auto answer = first(problem);
  if (!answer.has_plan() || limit == 0 || problem.groups == 0 || problem.nodes() == 1)
    return answer;
  auto free = problem;
  free.groups = 0;
  auto const everywhere = first(free);
  bool const small = visits_of_a_change(problem) < most_visits;
  std::vector<layer_state> states;  // at most one
  if (small) states.emplace_back(problem);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    double least = max_over_mean(problem.loads_of(l), answer.plan, l);
    auto const slots = answer.plan.layer(l);
    std::int32_t const most = spilled_replicas(problem, answer.plan, l) + limit;
    for (auto& state : states) {
      state.place(problem, answer.plan, l);
      while (state.relieve(0) || state.relieve(most)) {}
    }
    auto tried = everywhere.plan;
    for (bool const searched : {true, false}) {
      if (searched && !small) continue;
      if (searched)
        std::copy(states[0].slots().begin(), states[0].slots().end(), tried.layer(l).begin());
      if (!searched)
        std::copy(everywhere.plan.layer(l).begin(), everywhere.plan.layer(l).end(),
                  tried.layer(l).begin());
      double const now = max_over_mean(problem.loads_of(l), tried, l);
      if (now >= least || spilled_replicas(problem, tried, l) > most) continue;
      least = now;
      std::copy(tried.layer(l).begin(), tried.layer(l).end(), slots.begin());
    }
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR std::int64_t spilled_groups::visits_of_a_change(expert_layers const& problem) {
  std::int64_t most = 0;
  for (auto const s : problem.slots_per_rank) most = std::max<std::int64_t>(most, s);
  std::int64_t const slots = problem.slots(), ranks = problem.ranks();
  if (most * ranks >= most_visits || (slots * most + problem.experts) >= most_visits / ranks)
    return most_visits;
  return (slots * most + problem.experts) * ranks;
}

SHUNT_CONSTEXPR spilled_groups::layer_state::layer_state(expert_layers const& problem)
    : experts_(static_cast<std::size_t>(problem.experts)),
      ranks_(static_cast<std::size_t>(problem.ranks())),
      weight_(experts_, 0),
      load_(ranks_, 0),
      after_(ranks_, 0),
      copies_(experts_, 0),
      has_(experts_ * ranks_, 0) {
  for (std::size_t r = 0; r < ranks_; ++r) {
    rank_of_.insert(rank_of_.end(), static_cast<std::size_t>(problem.slots_per_rank[r]), r);
    node_of_.emplace_back(r / static_cast<std::size_t>(problem.ranks_per_node));
  }
  sizes_ = deal_slots(problem.experts, problem.groups);
}

SHUNT_CONSTEXPR void spilled_groups::layer_state::place(expert_layers const& problem,
                                                        expert_placement const& plan, layer_id l) {
  auto const homes = group_homes(problem, plan, l);
  home_.clear();
  for (std::size_t g = 0; g < homes.size(); ++g)
    home_.insert(home_.end(), static_cast<std::size_t>(sizes_[g]), homes[g]);
  auto const loads = problem.loads_of(l);
  std::int64_t total = 0;
  for (auto const w : loads) total += w;
  int const shift =
      total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
  for (std::size_t e = 0; e < experts_; ++e)
    weight_[e] = shift >= 0 ? loads[e] << shift : loads[e] >> -shift;
  slots_.assign(plan.layer(l).begin(), plan.layer(l).end());
  std::fill(copies_.begin(), copies_.end(), 0);
  std::fill(has_.begin(), has_.end(), 0);
  spilled_ = 0;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    ++copies_[slots_[s].index()];
    ++has_[slots_[s].index() * ranks_ + rank_of_[s]];
    spilled_ += away(slots_[s].index(), rank_of_[s]);
  }
  changes_ = 0;
  visits_ = 0;
  add_up();
}

SHUNT_CONSTEXPR bool spilled_groups::layer_state::relieve(std::int32_t most) {
  if (changes_ >= 8 * slots_.size() || visits_ >= most_visits) return false;
  auto const fullest =
      static_cast<std::size_t>(std::max_element(load_.begin(), load_.end()) - load_.begin());
  auto const fullest_slots = std::ranges::count(rank_of_, fullest);
  visits_ += static_cast<std::int64_t>(slots_.size() * ranks_) * fullest_slots +
             static_cast<std::int64_t>(experts_ * ranks_) * fullest_slots;
  best_ = {.squares = squares(load_), .slot = slots_.size()};
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    std::size_t const r = rank_of_[s], a = slots_[s].index();
    for (std::size_t t = first_of(fullest); t < slots_.size() && rank_of_[t] == fullest; ++t) {
      std::size_t const b = slots_[t].index();
      if (r == fullest || has_[b * ranks_ + r] > 0) continue;
      consider_gift(s, b, fullest, most);
      if (has_[a * ranks_ + fullest] == 0) consider_swap(s, t, fullest, most);
    }
    for (std::size_t b = 0; r == fullest && b < experts_; ++b)
      if (has_[b * ranks_ + r] == 0) consider_gift(s, b, fullest, most);
  }
  if (best_.slot == slots_.size()) return false;
  if (best_.swaps)
    set(best_.other, set(best_.slot, slots_[best_.other].index()));
  else
    set(best_.slot, best_.other);
  ++changes_;
  add_up();
  return true;
}

SHUNT_CONSTEXPR std::int32_t spilled_groups::layer_state::away(std::size_t e,
                                                               std::size_t rank) const {
  return home_[e] != node_of_[rank];
}

SHUNT_CONSTEXPR std::size_t spilled_groups::layer_state::first_of(std::size_t rank) const {
  return static_cast<std::size_t>(std::lower_bound(rank_of_.begin(), rank_of_.end(), rank) -
                                  rank_of_.begin());
}

SHUNT_CONSTEXPR std::int64_t spilled_groups::layer_state::squares(
    std::span<std::int64_t const> loads) {
  std::int64_t sum = 0;
  for (auto const x : loads) sum += x * x;
  return sum;
}

SHUNT_CONSTEXPR bool spilled_groups::layer_state::allowed(std::int32_t more,
                                                          std::int32_t most) const {
  return more <= 0 || spilled_ + more <= most;
}

SHUNT_CONSTEXPR void spilled_groups::layer_state::consider_gift(std::size_t s, std::size_t b,
                                                                std::size_t fullest,
                                                                std::int32_t most) {
  std::size_t const a = slots_[s].index(), r = rank_of_[s];
  if (copies_[a] == 1 || !allowed(away(b, r) - away(a, r), most)) return;
  std::int64_t const old_a = weight_[a] / copies_[a], new_a = weight_[a] / (copies_[a] - 1),
                     old_b = weight_[b] / copies_[b], new_b = weight_[b] / (copies_[b] + 1);
  auto const *const has_a = has_.data() + a * ranks_, *const has_b = has_.data() + b * ranks_;
  for (std::size_t q = 0; q < ranks_; ++q)
    after_[q] = load_[q] + has_a[q] * (new_a - old_a) + has_b[q] * (new_b - old_b);
  after_[r] += new_b - new_a;
  if (after_[fullest] >= load_[fullest] ||
      *std::max_element(after_.begin(), after_.end()) > load_[fullest])
    return;
  if (std::int64_t const sum = squares(after_); sum < best_.squares)
    best_ = {.squares = sum, .slot = s, .other = b, .swaps = false};
}

SHUNT_CONSTEXPR void spilled_groups::layer_state::consider_swap(std::size_t s, std::size_t t,
                                                                std::size_t fullest,
                                                                std::int32_t most) {
  std::size_t const a = slots_[s].index(), b = slots_[t].index(), r = rank_of_[s];
  if (!allowed(away(a, fullest) + away(b, r) - away(a, r) - away(b, fullest), most)) return;
  std::int64_t const d = weight_[b] / copies_[b] - weight_[a] / copies_[a];
  std::int64_t const here = load_[fullest] - d, there = load_[r] + d;
  if (d <= 0 || there > load_[fullest]) return;
  std::int64_t const sum = squares(load_) + here * here + there * there -
                           load_[fullest] * load_[fullest] - load_[r] * load_[r];
  if (sum < best_.squares) best_ = {.squares = sum, .slot = s, .other = t, .swaps = true};
}

SHUNT_CONSTEXPR std::size_t spilled_groups::layer_state::set(std::size_t s, std::size_t e) {
  std::size_t const old = slots_[s].index(), r = rank_of_[s];
  --copies_[old];
  --has_[old * ranks_ + r];
  ++copies_[e];
  ++has_[e * ranks_ + r];
  spilled_ += away(e, r) - away(old, r);
  slots_[s] = e;
  return old;
}

SHUNT_CONSTEXPR void spilled_groups::layer_state::add_up() {
  std::fill(load_.begin(), load_.end(), 0);
  for (std::size_t s = 0; s < slots_.size(); ++s)
    load_[rank_of_[s]] += weight_[slots_[s].index()] / copies_[slots_[s].index()];
}

}  // namespace shunt
