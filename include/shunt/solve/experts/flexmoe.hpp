#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// One layer's placement as FlexMoE changes it. Loads are scaled to 34 bits in all, so that shares
/// of replicas are whole numbers and every platform finds the same placement.
class flexmoe_layer {
 public:
  /// Requires as many slots as `slots_per_rank` has, and every expert in one.
  constexpr flexmoe_layer(std::span<std::int32_t const> slots_per_rank, std::size_t experts)
      : replicas_(experts, 0),
        hosts_(experts, 0),
        share_(experts, 0),
        weight_(experts, 0),
        last_(experts, 0),
        times_(slots_per_rank.size(), 0) {
    for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
      live_ += slots_per_rank[r] > 0;
      for (std::int32_t s = 0; s < slots_per_rank[r]; ++s)
        rank_of_.push_back(static_cast<std::int32_t>(r));
    }
  }

  constexpr void load(std::span<std::int64_t const> loads, std::span<expert_id const> slots) {
    std::int64_t total = 0;
    for (auto const w : loads) total += w;
    shift_ =
        total == 0 ? 0 : 34 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
    total_ = 0;
    for (std::size_t e = 0; e < loads.size(); ++e) total_ += weight_[e] = scaled(loads[e]);
    slots_.assign(slots.begin(), slots.end());
  }
  /// Returns tokens in the scale of the loads, at most the scaled total.
  [[nodiscard]] constexpr std::int64_t scaled(std::int64_t tokens) const {
    std::int64_t const whole = std::int64_t{1} << 34;
    if (shift_ < 0) return std::min(whole, tokens >> -shift_);
    return tokens >= whole >> shift_ ? whole : tokens << shift_;
  }

  struct state {
    std::int64_t fullest = 0;  ///< Tokens of the fullest rank, scaled.
    std::int64_t time = 0;     ///< The largest, over ranks, of tokens and synchronised experts.
    std::int32_t slowest = 0;  ///< Ranks that take that long.
    constexpr bool operator<(state const& other) const {
      return time < other.time || (time == other.time && slowest < other.slowest);
    }
  };
  /// Counts replicas, hosts and shares anew.
  /// Returns the state of the layer.
  /// Complexity: O(slots + experts).
  constexpr state measure(std::int64_t sync) {
    std::fill(replicas_.begin(), replicas_.end(), 0);
    std::fill(hosts_.begin(), hosts_.end(), 0);
    std::fill(last_.begin(), last_.end(), -1);
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      std::size_t const e = slots_[s].index();
      ++replicas_[e];
      hosts_[e] += last_[e] != rank_of_[s];
      last_[e] = rank_of_[s];
    }
    for (std::size_t e = 0; e < share_.size(); ++e) share_[e] = weight_[e] / replicas_[e];
    std::fill(last_.begin(), last_.end(), -1);
    std::fill(times_.begin(), times_.end(), 0);
    state now;
    std::int64_t tokens = 0;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      if (s > 0 && rank_of_[s] != rank_of_[s - 1]) tokens = 0;
      std::size_t const e = slots_[s].index();
      bool const synchronised = hosts_[e] > 1 && last_[e] != rank_of_[s];
      last_[e] = rank_of_[s];
      now.fullest = std::max(now.fullest, tokens += share_[e]);
      times_[static_cast<std::size_t>(rank_of_[s])] += share_[e] + (synchronised ? sync : 0);
    }
    for (auto const time : times_) now.time = std::max(now.time, time);
    for (auto const time : times_) now.slowest += time == now.time;
    return now;
  }

  /// Returns whether another slot of the same rank holds the expert, so that nothing is sent.
  [[nodiscard]] constexpr bool held_beside(std::size_t slot, expert_id e) const {
    for (std::size_t s = slot; s-- > 0 && rank_of_[s] == rank_of_[slot];)
      if (slots_[s] == e) return true;
    for (std::size_t s = slot + 1; s < slots_.size() && rank_of_[s] == rank_of_[slot]; ++s)
      if (slots_[s] == e) return true;
    return false;
  }
  [[nodiscard]] constexpr bool out_of_balance(state const& now, double trigger) const {
    return static_cast<double>(now.fullest * live_) > trigger * static_cast<double>(total_);
  }

  [[nodiscard]] constexpr std::vector<expert_id>& slots() { return slots_; }
  [[nodiscard]] constexpr std::int32_t rank_of(std::size_t slot) const { return rank_of_[slot]; }
  [[nodiscard]] constexpr std::int32_t live() const { return live_; }
  // as of the latest measure()
  [[nodiscard]] constexpr std::span<std::int32_t const> replicas() const { return replicas_; }
  [[nodiscard]] constexpr std::span<std::int32_t const> hosts() const { return hosts_; }
  [[nodiscard]] constexpr std::span<std::int64_t const> shares() const { return share_; }
  [[nodiscard]] constexpr std::span<std::int64_t const> times() const { return times_; }

 private:
  std::vector<std::int32_t> rank_of_{};
  std::vector<expert_id> slots_{};
  std::vector<std::int32_t> replicas_, hosts_;
  std::vector<std::int64_t> share_, weight_;
  std::vector<std::int32_t> last_;
  std::vector<std::int64_t> times_;  ///< of each rank
  std::int32_t live_ = 0;
  int shift_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace detail

/// FlexMoE: adjusts the previous placement (`uniform` if there is none) step by step while max/mean
/// load is above `trigger` and the cost model predicts a gain.
/// A step either gives a slot of a cold expert to the hottest expert (expand and shrink) or swaps
/// two slots (migrate). T is the maximum over ranks of tokens + sync_cost x experts that the rank
/// shares with others. A step must lower T or the number of ranks that take T. The step with the
/// least T x horizon + move_cost x newly received experts is made, ties to the first. Steps that
/// the fall of T over the horizon does not pay for are undone at the end. Other slots keep their
/// expert.
/// Objective: max/mean load. Infeasible: fewer slots than experts.
/// See docs/expert-solvers.md.
/// Throws what validate throws, invalid_problem that names a setting out of range, and
/// invalid_problem("previous[l]") if an expert has no slot there.
/// Complexity: O(S (S + E)) per step for each slot of the slowest ranks and of the expert that
/// shrinks.
/// Reference: Nie et al., FlexMoE, SIGMOD 2023, arXiv 2304.03946.
struct flexmoe {
  static constexpr std::string_view name = "flexmoe";

  double trigger = 1.2;     ///< Max/mean load above which a layer is adjusted.
  std::int32_t steps = 10;  ///< Most steps per layer.
  /// Tokens that a rank could compute while it synchronises the gradient of one replicated expert.
  std::int64_t sync_cost = 0;
  /// Tokens that a rank could compute while it receives weights and optimizer state of one expert.
  std::int64_t move_cost = 0;
  /// Iterations over which a move pays back, at most 4096; SYMI found 50 to 100 between
  /// re-placements.
  std::int32_t horizon = 50;

  [[nodiscard]] constexpr solution<expert_placement> operator()(
      expert_layers const& problem) const {
    auto answer = uniform{}(problem);
    if (!(trigger >= 1)) throw invalid_problem("trigger", "must be at least 1");
    if (steps < 0)
      throw invalid_problem("steps", "must be at least 0, is " + std::to_string(steps));
    if (sync_cost < 0)
      throw invalid_problem("sync_cost", "must be at least 0, is " + std::to_string(sync_cost));
    if (move_cost < 0)
      throw invalid_problem("move_cost", "must be at least 0, is " + std::to_string(move_cost));
    if (horizon < 1 || horizon > 4096)
      throw invalid_problem("horizon", "must be from 1 to 4096, is " + std::to_string(horizon));
    if (!answer.has_plan()) return answer;
    if (!problem.previous.empty()) answer.plan.expert_of = problem.previous;
    detail::flexmoe_layer layer(problem.slots_per_rank, static_cast<std::size_t>(problem.experts));
    for (layer_id l : ids<layer_id>(problem.layers)) {
      auto const slots = answer.plan.layer(l);
      require_all(slots, problem.experts, l);
      layer.load(problem.loads_of(l), slots);
      adjust(layer);
      std::copy(layer.slots().begin(), layer.slots().end(), slots.begin());
    }
    return rated(problem, std::move(answer.plan));
  }

 private:
  static constexpr void require_all(std::span<expert_id const> slots, std::int32_t experts,
                                    layer_id l) {
    std::vector<char> seen(static_cast<std::size_t>(experts), 0);
    for (expert_id const e : slots) seen[e.index()] = 1;
    for (std::size_t e = 0; e < seen.size(); ++e)
      if (seen[e] == 0)
        throw invalid_problem("previous[" + std::to_string(l.value()) + "]",
                              "has no slot with expert " + std::to_string(e));
  }

  struct change {
    std::size_t slot = 0, other = 0;  ///< may be equal
    expert_id expert{}, others{};     ///< the experts that they take
    detail::flexmoe_layer::state then{};
    std::int64_t moved = 0;
    /// Over the horizon: its iterations and the moves.
    std::int64_t price = std::numeric_limits<std::int64_t>::max();
  };
  /// The basis on which steps are compared.
  struct costs {
    detail::flexmoe_layer::state now{};  ///< before the step
    std::int64_t sync = 0, move = 0;
  };

  constexpr void offer(detail::flexmoe_layer& layer, costs const& c, change step,
                       change& best) const {
    step.then = layer.measure(c.sync);
    step.price = step.then.time * horizon + c.move * step.moved;
    if (!(step.then < c.now)) return;
    if (step.price < best.price ||
        (step.price == best.price && step.then.slowest < best.then.slowest))
      best = step;
  }

  constexpr void adjust(detail::flexmoe_layer& layer) const {
    std::int64_t const sync = layer.scaled(sync_cost), move = layer.scaled(move_cost);
    auto now = layer.measure(sync);
    auto paid = now;
    auto paid_slots = layer.slots();
    std::int64_t moved = 0;  // since paid
    for (std::int32_t step = 0; step < steps && layer.out_of_balance(now, trigger); ++step) {
      change best;
      expand_and_shrink(layer, {now, sync, move}, best);
      migrate(layer, {now, sync, move}, best);
      if (best.price == std::numeric_limits<std::int64_t>::max()) break;
      auto& slots = layer.slots();
      slots[best.slot] = best.expert;
      slots[best.other] = best.others;
      now = best.then;
      moved += best.moved;
      if ((paid.time - now.time) * horizon <= move * moved) continue;
      paid = now;
      paid_slots = slots;
      moved = 0;
    }
    layer.slots() = paid_slots;
  }

  constexpr void expand_and_shrink(detail::flexmoe_layer& layer, costs const& c,
                                   change& best) const {
    auto& slots = layer.slots();
    layer.measure(c.sync);
    auto const replicas = layer.replicas(), hosts = layer.hosts();
    auto const shares = layer.shares();
    std::size_t const none = shares.size();
    std::size_t hot = none, cold = none;
    for (std::size_t e = 0; e < none; ++e)
      if (hosts[e] < layer.live() && (hot == none || shares[e] > shares[hot])) hot = e;
    for (std::size_t e = 0; e < none; ++e)
      if (e != hot && replicas[e] > 1 && (cold == none || shares[e] < shares[cold])) cold = e;
    if (hot == none || cold == none) return;
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s] != expert_id{cold}) continue;
      slots[s] = hot;
      offer(layer, c,
            {.slot = s,
             .other = s,
             .expert = hot,
             .others = hot,
             .moved = !layer.held_beside(s, hot)},
            best);
      for (std::size_t t = 0; t < slots.size(); ++t) {
        expert_id const moves = slots[t];
        if (layer.rank_of(t) == layer.rank_of(s) || moves == expert_id{hot} ||
            moves == expert_id{cold})
          continue;
        slots[s] = moves;
        slots[t] = hot;
        std::int64_t const moved =
            std::int64_t{!layer.held_beside(s, moves)} + !layer.held_beside(t, hot);
        offer(layer, c, {.slot = s, .other = t, .expert = moves, .others = hot, .moved = moved},
              best);
        slots[t] = moves;
      }
      slots[s] = cold;
    }
  }

  constexpr void migrate(detail::flexmoe_layer& layer, costs const& c, change& best) const {
    auto& slots = layer.slots();
    layer.measure(c.sync);
    std::vector<std::int64_t> const times(layer.times().begin(), layer.times().end());
    for (std::size_t a = 0; a < slots.size(); ++a) {
      if (times[static_cast<std::size_t>(layer.rank_of(a))] != c.now.time)
        continue;  // only a slowest rank can help
      for (std::size_t b = 0; b < slots.size(); ++b) {
        if (layer.rank_of(a) == layer.rank_of(b) || slots[a] == slots[b]) continue;
        std::swap(slots[a], slots[b]);
        std::int64_t const moved =
            std::int64_t{!layer.held_beside(a, slots[a])} + !layer.held_beside(b, slots[b]);
        offer(layer, c,
              {.slot = a, .other = b, .expert = slots[a], .others = slots[b], .moved = moved},
              best);
        std::swap(slots[a], slots[b]);
      }
    }
  }
};
static_assert(solver_for<flexmoe, expert_layers>);

}  // namespace shunt
