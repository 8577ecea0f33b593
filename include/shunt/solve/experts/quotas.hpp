#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/measure/quotas.hpp"
#include "shunt/plan/token_quotas.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Exact token shares for one layer of one micro-batch, made once, asked without allocating.
///
/// Rank r is home to some experts and has w_r tokens for them; no rank is to compute more than C. A rank above C is a source with surplus
/// w_r - C, one below a receiver with room C - w_r. A copy takes tokens of one expert from its home to a receiver. What it can close is a
/// receiver (its room is full) or a source (its surplus is gone); were every copy to close one, there would be at most R - 1 of them, as
/// the last closes both. So: the source that can offer the most tokens of one expert, a = min(its largest expert, its surplus), fills
/// the largest room that a fills; where a fills none, it goes to the roomiest rank that got nothing yet, and the rank then waits for
/// an offer that closes it. So no rank hosts more than two copies, unless only such waiting ranks are left.
///
/// That order is tried first; where it breaks one of the two bounds, a second one, receivers by descending room each filled from the
/// largest offer, and the better is taken: fewer copies on the fullest rank if that has more than two, then fewer copies.
/// O(E log E + R copies). Each copy of an expert lies on another rank.
class quota_rule {
 public:
  /// Homes of experts: one rank an expert, below ranks.
  constexpr quota_rule(std::int32_t ranks, std::span<rank_id const> homes, std::span<char const> live)
      : homes_(homes.begin(), homes.end()), live_(live.begin(), live.end()), first_(static_cast<std::size_t>(ranks) + 1, 0),
        list_(homes.size(), 0), surplus_(static_cast<std::size_t>(ranks), 0), tokens_(surplus_.size(), 0), hosted_(surplus_.size(), 0),
        left_(homes.size(), 0) {
    for (auto const r : homes_) ++first_[r.index() + 1];
    for (std::size_t r = 0; r + 1 < first_.size(); ++r) first_[r + 1] += first_[r];
    auto next = first_;
    for (std::size_t e = 0; e < homes_.size(); ++e) list_[next[homes_[e].index()]++] = e;
    sources_.reserve(surplus_.size());
    receivers_.reserve(surplus_.size());
    for (auto* copies : {&copies_, &other_}) copies->reserve(homes_.size() + surplus_.size());
  }

  /// `cap` times the live ranks must hold all tokens.
  constexpr std::span<expert_copy const> operator()(std::span<std::int64_t const> loads, std::int64_t cap) {
    std::fill(tokens_.begin(), tokens_.end(), 0);
    for (std::size_t e = 0; e < loads.size(); ++e) tokens_[homes_[e].index()] += loads[e];
    copies_.clear();
    std::size_t const worst = fill<true>(loads, cap);
    if (worst <= 2 && copies_.size() + 1 <= std::max<std::size_t>(1, surplus_.size())) return copies_;
    copies_.swap(other_);
    copies_.clear();
    std::size_t const again = fill<false>(loads, cap);
    auto const rank = [](std::size_t most, auto const& list) { return std::pair(std::max<std::size_t>(most, 2), list.size()); };
    if (rank(again, copies_) >= rank(worst, other_)) copies_.swap(other_);
    return copies_;
  }

 private:
  struct source {
    std::size_t rank = 0, expert = 0;  ///< its largest expert by what is left at home
    std::int64_t offer = 0;
  };

  /// The expert of a source with the most tokens left, and what the source can give of it.
  constexpr void refresh(source& s) const {
    s.expert = list_[first_[s.rank]];
    for (std::size_t i = first_[s.rank]; i < first_[s.rank + 1]; ++i)
      if (left_[list_[i]] > left_[s.expert]) s.expert = list_[i];
    s.offer = std::min(left_[s.expert], surplus_[s.rank]);
  }

  /// Returns the largest number of copies on a rank.
  template <bool Closing>
  constexpr std::size_t fill(std::span<std::int64_t const> loads, std::int64_t cap) {
    sources_.clear();
    receivers_.clear();
    std::copy(loads.begin(), loads.end(), left_.begin());
    std::fill(hosted_.begin(), hosted_.end(), 0);
    for (std::size_t r = 0; r < surplus_.size(); ++r) {
      surplus_[r] = tokens_[r] - (live_[r] ? cap : 0);
      if (surplus_[r] > 0) {
        sources_.push_back({.rank = r});
        refresh(sources_.back());
      } else if (surplus_[r] < 0) {
        receivers_.push_back(r);
      }
    }
    std::size_t most = 0;
    while (!sources_.empty()) {
      auto const from = std::max_element(sources_.begin(), sources_.end(), [](auto& a, auto& b) { return a.offer < b.offer; });
      std::size_t best = receivers_.size(), waiting = receivers_.size(), roomiest = receivers_.size();
      for (std::size_t i = 0; i < receivers_.size(); ++i) {
        std::size_t const r = receivers_[i];
        std::int64_t const room = -surplus_[r];
        if (room <= from->offer && (best == receivers_.size() || room > -surplus_[receivers_[best]])) best = i;
        if (hosted_[r] == 0 && (roomiest == receivers_.size() || room > -surplus_[receivers_[roomiest]])) roomiest = i;
        if (waiting == receivers_.size() || room > -surplus_[receivers_[waiting]]) waiting = i;
      }
      std::size_t to = waiting;
      if constexpr (Closing) to = best != receivers_.size() ? best : roomiest != receivers_.size() ? roomiest : waiting;
      std::size_t const r = receivers_[to];
      std::int64_t const moved = std::min(from->offer, -surplus_[r]);
      copies_.push_back({.expert = from->expert, .rank = r, .tokens = moved});
      most = std::max(most, static_cast<std::size_t>(++hosted_[r]));
      left_[from->expert] -= moved;
      surplus_[from->rank] -= moved;
      surplus_[r] += moved;
      if (surplus_[r] == 0) receivers_.erase(receivers_.begin() + static_cast<std::ptrdiff_t>(to));
      if (surplus_[from->rank] == 0)
        sources_.erase(from);
      else
        refresh(*from);
    }
    return most;
  }

  std::vector<rank_id> homes_;
  std::vector<char> live_;
  std::vector<std::size_t> first_, list_;  ///< experts by home
  std::vector<std::int64_t> surplus_, tokens_;
  std::vector<std::int32_t> hosted_;
  std::vector<std::int64_t> left_;  ///< tokens of an expert still at home
  std::vector<source> sources_{};
  std::vector<std::size_t> receivers_{};
  std::vector<expert_copy> copies_{}, other_{};
};

/// Experts stay at home, and for this very micro-batch a few are copied so that no rank computes more than `cap` x tokens / live ranks,
/// rounded up: the planner of MoonEP, LLEP and UltraEP, exact. The problem's slots are the homes: as many as experts, slot k is the
/// home of expert k, or of previous[k] where the problem has a previous placement.
///
/// Objective: copies, summed over layers; lower bound: copies_bound. The balance is a constraint and always met, with cap {1, 1} every
/// rank has at most ceil(tokens / ranks). A looser cap needs fewer copies: the balance-copies front. Throws what validate throws, and
/// invalid_problem where slots aren't as many as experts, a home is named twice, or cap is below 1.
struct quotas {
  static constexpr std::string_view name = "quotas";

  capacity_factor cap{};  ///< of the mean, at least 1

  [[nodiscard]] constexpr solution<token_quotas> operator()(expert_layers const& problem) const {
    auto const homes = home_ranks(problem);
    if (cap.denominator < 1 || cap.numerator < cap.denominator)
      throw invalid_problem("cap", "must be at least 1, is " + std::to_string(cap.numerator) + "/" + std::to_string(cap.denominator));
    auto const experts = static_cast<std::size_t>(problem.experts);
    std::vector<char> live;
    std::int32_t alive = 0;
    for (auto const s : problem.slots_per_rank) alive += live.emplace_back(s > 0);
    solution<token_quotas> answer;
    answer.plan.copies.reserve(static_cast<std::size_t>(problem.layers) * problem.slots_per_rank.size());
    std::vector<quota_rule> rule;  // one, or one a layer where homes differ
    for (layer_id l : ids<layer_id>(problem.layers)) {
      auto const loads = problem.loads_of(l);
      auto const at_home = std::span(homes).subspan(l.index() * experts, experts);
      std::int64_t total = 0;
      for (auto const load : loads) total += load;
      if (rule.empty() || !problem.previous.empty()) rule.assign(1, quota_rule(problem.ranks(), at_home, live));
      auto const cap_tokens = slot_capacity(total, alive, cap);
      auto const copies = rule[0](loads, cap_tokens);
      answer.plan.copies.insert(answer.plan.copies.end(), copies.begin(), copies.end());
      answer.plan.first_copy.push_back(static_cast<std::int32_t>(answer.plan.copies.size()));
      answer.lower_bound += static_cast<double>(copies_bound(loads, at_home, problem.ranks(), live, cap_tokens));
    }
    answer.objective = static_cast<double>(answer.plan.copies.size());
    answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
    return answer;
  }
};
static_assert(solver_for<quotas, expert_layers>);

}  // namespace shunt
