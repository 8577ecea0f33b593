#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/rated.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Re-placement with few moves: the previous placement changed by at most `moves` experts a layer, to be good in the windows to come.
///
/// A change is a slot given to another expert (one move) or two experts on two ranks swapped (two moves). All are tried; the one that
/// lowers the score most a move is made, as long as it lowers it by more than `price` and moves are left. The score is the mean of max/mean
/// over the current loads and the last `windows` - 1 of the history: what fits several windows drifts out of balance more slowly than what
/// fits one. No change puts an expert on a rank twice or takes an expert's last replica. Slots that don't change keep their expert.
///
/// O(moves x windows x S (E N + S)) a layer. Without a previous placement the problem is solved by `first` and that, with a history,
/// changed as above with 2 S moves. Nodes and groups are not looked at. Objective and bound are those of every placement, for the current
/// loads. Infeasible: as `first`, or a previous placement that lacks an expert. Throws what validate throws, and invalid_problem where a
/// setting is out of range.
struct incremental {
  static constexpr std::string_view name = "incremental";

  std::int32_t moves = 2;    ///< a layer at most: experts that a rank must newly receive
  std::int32_t windows = 6;  ///< that the score looks at, the current one included; what the history lacks is left out
  double price = 0;          ///< of a move, in max/mean: a change must gain more than this a move
  balanced first{};

  [[nodiscard]] constexpr solution<expert_placement> operator()(expert_layers const& problem) const {
    if (moves < 0) throw invalid_problem("moves", "must be at least 0, is " + std::to_string(moves));
    if (windows < 1) throw invalid_problem("windows", "must be at least 1, is " + std::to_string(windows));
    if (!(price >= 0)) throw invalid_problem("price", "must be at least 0");
    validate(problem);
    auto answer = problem.previous.empty() ? first(problem) : unplaced(problem);
    if (!answer.has_plan()) return answer;
    if (!problem.previous.empty()) answer.plan.expert_of = problem.previous;
    std::int32_t const budget = problem.previous.empty() ? 2 * problem.slots() : moves;
    if (problem.previous.empty() && problem.windows() == 0) return answer;
    layer_state state(problem, std::min(windows, problem.windows() + 1));
    for (layer_id l : ids<layer_id>(problem.layers)) {
      if (!state.load(problem, answer.plan, l)) {
        answer.plan = {};
        answer.status = status::infeasible;
        answer.reason = "previous[" + std::to_string(l.value()) + "]: lacks an expert";
        return answer;
      }
      for (std::int32_t left = budget; left > 0;) {
        std::int32_t const used = state.improve(left, price);
        if (used == 0) break;
        left -= used;
      }
      std::copy(state.slots().begin(), state.slots().end(), answer.plan.layer(l).begin());
    }
    return rated(problem, std::move(answer.plan));
  }

 private:
  /// One layer's placement and its rank loads in each window, scaled so that a window's tokens are 2^31; solved in integers.
  class layer_state {
   public:
    constexpr layer_state(expert_layers const& problem, std::int32_t scored)
        : windows_(static_cast<std::size_t>(scored)),
          experts_(static_cast<std::size_t>(problem.experts)),
          ranks_(static_cast<std::size_t>(problem.ranks())),
          weight_(windows_ * experts_, 0),
          load_(windows_ * ranks_, 0),
          has_(experts_ * ranks_, 0),
          copies_(experts_, 0),
          tops_(windows_) {
      for (std::size_t r = 0; r < ranks_; ++r) {
        rank_of_.insert(rank_of_.end(), static_cast<std::size_t>(problem.slots_per_rank[r]), r);
        live_ += problem.slots_per_rank[r] > 0;
      }
      slots_.resize(rank_of_.size());
    }

    constexpr bool load(expert_layers const& problem, expert_placement const& plan, layer_id l) {
      for (std::size_t w = 0; w < windows_; ++w) {
        auto const loads = w == 0 ? problem.loads_of(l) : problem.loads_of(l, problem.windows() - static_cast<std::int32_t>(w));
        std::int64_t total = 0;
        for (auto const x : loads) total += x;
        int const shift = total == 0 ? 0 : 31 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
        std::int64_t sum = 0;
        for (std::size_t e = 0; e < experts_; ++e) sum += weight_[w * experts_ + e] = shift >= 0 ? loads[e] << shift : loads[e] >> -shift;
        tops_[w].mean = std::max<std::int64_t>(1, sum / std::max(1, live_));
      }
      std::copy(plan.layer(l).begin(), plan.layer(l).end(), slots_.begin());
      std::fill(has_.begin(), has_.end(), 0);
      std::fill(copies_.begin(), copies_.end(), 0);
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        ++has_[slots_[s].index() * ranks_ + rank_of_[s]];
        ++copies_[slots_[s].index()];
      }
      add_up();
      return std::count(copies_.begin(), copies_.end(), 0) == 0;
    }

    /// Makes the best change of at most `left` moves; how many it took, 0 where none gains `least` a move.
    constexpr std::int32_t improve(std::int32_t left, double least) {
      double const now = score();
      double best_gain = least;  // a move
      std::size_t slot = slots_.size(), other = 0;
      bool swapped = false;
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        std::size_t const a = slots_[s].index();
        for (std::size_t b = 0; b < experts_; ++b) {
          if (has_[b * ranks_ + rank_of_[s]] > 0 || copies_[a] == 1) continue;
          double const gain = now - score_with(s, b);
          if (gain > best_gain) {
            best_gain = gain;
            slot = s;
            other = b;
            swapped = false;
          }
        }
        for (std::size_t t = s + 1; left >= 2 && t < slots_.size(); ++t) {
          std::size_t const b = slots_[t].index();
          if (has_[a * ranks_ + rank_of_[t]] > 0 || has_[b * ranks_ + rank_of_[s]] > 0) continue;
          double const gain = (now - score_swapped(s, t)) / 2;
          if (gain > best_gain) {
            best_gain = gain;
            slot = s;
            other = t;
            swapped = true;
          }
        }
      }
      if (slot == slots_.size()) return 0;
      if (swapped) {
        set(other, set(slot, slots_[other].index()));
      } else {
        set(slot, other);
      }
      add_up();
      return swapped ? 2 : 1;
    }

    [[nodiscard]] constexpr std::span<expert_id const> slots() const { return slots_; }

   private:
    struct top {
      std::int64_t mean = 1;
      std::size_t rank[3] = {};  ///< the fullest three
    };

    constexpr std::size_t set(std::size_t s, std::size_t e) {
      std::size_t const old = slots_[s].index();
      --has_[old * ranks_ + rank_of_[s]];
      --copies_[old];
      ++has_[e * ranks_ + rank_of_[s]];
      ++copies_[e];
      slots_[s] = e;
      return old;
    }

    constexpr void add_up() {
      std::fill(load_.begin(), load_.end(), 0);
      for (std::size_t w = 0; w < windows_; ++w) {
        auto* const load = load_.data() + w * ranks_;
        for (std::size_t s = 0; s < slots_.size(); ++s)
          load[rank_of_[s]] += weight_[w * experts_ + slots_[s].index()] / copies_[slots_[s].index()];
        auto& rank = tops_[w].rank;
        std::size_t found = 0;
        for (std::size_t r = 0; r < ranks_; ++r) {
          std::size_t at = std::min<std::size_t>(found, 3);
          for (; at > 0 && load[rank[at - 1]] < load[r]; --at)
            if (at < 3) rank[at] = rank[at - 1];
          if (at < 3) rank[at] = r;
          ++found;
        }
        for (; found < 3; ++found) rank[found] = rank[0];
      }
    }

    constexpr double score() const {
      double sum = 0;
      for (std::size_t w = 0; w < windows_; ++w)
        sum += static_cast<double>(load_[w * ranks_ + tops_[w].rank[0]]) / static_cast<double>(tops_[w].mean);
      return sum / static_cast<double>(windows_);
    }

    /// The score if slot s held expert b.
    constexpr double score_with(std::size_t s, std::size_t b) const {
      std::size_t const a = slots_[s].index(), r = rank_of_[s];
      double sum = 0;
      for (std::size_t w = 0; w < windows_; ++w) {
        std::int64_t const wa = weight_[w * experts_ + a], wb = weight_[w * experts_ + b];
        std::int64_t const more = wa / (copies_[a] - 1) - wa / copies_[a], now = wb / (copies_[b] + 1), less = wb / copies_[b] - now;
        auto const* const load = load_.data() + w * ranks_;
        auto const *const has_a = has_.data() + a * ranks_, *const has_b = has_.data() + b * ranks_;
        std::int64_t most = load[r] + (has_a[r] - 1) * more - wa / copies_[a] + now;
        for (std::size_t q = 0; q < ranks_; ++q)
          if (q != r) most = std::max(most, load[q] + has_a[q] * more - has_b[q] * less);
        sum += static_cast<double>(most) / static_cast<double>(tops_[w].mean);
      }
      return sum / static_cast<double>(windows_);
    }

    /// The score if slots s and t, on two ranks, were swapped.
    constexpr double score_swapped(std::size_t s, std::size_t t) const {
      std::size_t const a = slots_[s].index(), b = slots_[t].index(), r = rank_of_[s], q = rank_of_[t];
      double sum = 0;
      for (std::size_t w = 0; w < windows_; ++w) {
        std::int64_t const d = weight_[w * experts_ + a] / copies_[a] - weight_[w * experts_ + b] / copies_[b];
        auto const* const load = load_.data() + w * ranks_;
        std::int64_t most = std::max(load[r] - d, load[q] + d);
        for (auto const k : tops_[w].rank)
          if (k != r && k != q) most = std::max(most, load[k]);
        sum += static_cast<double>(most) / static_cast<double>(tops_[w].mean);
      }
      return sum / static_cast<double>(windows_);
    }

    std::size_t windows_, experts_, ranks_;
    std::vector<std::int64_t> weight_, load_;  ///< windows x experts, windows x ranks
    std::vector<std::int32_t> has_;            ///< experts x ranks: replicas there
    std::vector<std::int64_t> copies_;
    std::vector<top> tops_;
    std::vector<std::size_t> rank_of_{};
    std::vector<expert_id> slots_{};
    std::int32_t live_ = 0;
  };
};
static_assert(solver_for<incremental, expert_layers>);

}  // namespace shunt
