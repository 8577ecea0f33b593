#pragma once
#include "shunt/solve/experts/quotas.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/quotas.hpp"

namespace shunt {

SHUNT_CONSTEXPR quota_rule::quota_rule(std::int32_t ranks, std::span<rank_id const> homes,
                                       std::span<char const> live)
    : homes_(homes.begin(), homes.end()),
      live_(live.begin(), live.end()),
      first_(static_cast<std::size_t>(ranks) + 1, 0),
      list_(homes.size(), 0),
      tokens_(static_cast<std::size_t>(ranks), 0),
      left_(homes.size(), 0) {
  for (auto const r : homes_) ++first_[r.index() + 1];
  for (std::size_t r = 0; r + 1 < first_.size(); ++r) first_[r + 1] += first_[r];
  auto next = first_;
  for (std::size_t e = 0; e < homes_.size(); ++e) list_[next[homes_[e].index()]++] = e;
  sources_.reserve(tokens_.size());
  receivers_.reserve(tokens_.size());
  copies_.reserve(homes_.size() + tokens_.size());
}

SHUNT_CONSTEXPR std::span<expert_copy const> quota_rule::operator()(
    std::span<std::int64_t const> loads, std::int64_t cap) {
  std::fill(tokens_.begin(), tokens_.end(), 0);
  for (std::size_t e = 0; e < loads.size(); ++e) tokens_[homes_[e].index()] += loads[e];
  fill(loads, cap);
  return copies_;
}

SHUNT_CONSTEXPR void quota_rule::refresh(source& s) const {
  s.expert = list_[first_[s.rank]];
  for (std::size_t i = first_[s.rank] + 1; i < first_[s.rank + 1]; ++i)
    if (left_[list_[i]] > left_[s.expert]) s.expert = list_[i];
  s.left = left_[s.expert];
}

SHUNT_CONSTEXPR void quota_rule::fill(std::span<std::int64_t const> loads, std::int64_t cap) {
  copies_.clear();
  sources_.clear();
  receivers_.clear();
  std::copy(loads.begin(), loads.end(), left_.begin());
  for (std::size_t r = 0; r < tokens_.size(); ++r) {
    std::int64_t const surplus = tokens_[r] - (live_[r] ? cap : 0);
    if (surplus > 0) refresh(sources_.emplace_back(source{.rank = r, .surplus = surplus}));
    if (surplus < 0) receivers_.push_back({.room = -surplus, .rank = r});
  }
  while (!sources_.empty()) {
    auto const to = std::max_element(receivers_.begin(), receivers_.end(),
                                     [](auto& a, auto& b) { return a.room < b.room; });
    // the best of the cases (a) .. (d), encoded 3 .. 0, and the key within the case
    std::size_t from = 0;
    std::pair<int, std::int64_t> best{-1, 0};
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      auto const& s = sources_[i];
      std::pair<int, std::int64_t> rank{0, s.left};
      if (s.left >= to->room) rank = {s.surplus >= to->room ? 3 : 1, s.surplus};
      if (to->hosts == 0 && s.surplus <= s.left && s.surplus < to->room) rank = {2, s.surplus};
      if (rank > best) {
        best = rank;
        from = i;
      }
    }
    auto& s = sources_[from];
    std::int64_t moved = to->room;
    if (best.first == 2) moved = s.surplus;
    if (best.first == 0) moved = std::min(s.left, s.surplus);
    copies_.push_back({.expert = s.expert, .rank = to->rank, .tokens = moved});
    left_[s.expert] -= moved;
    s.surplus -= moved;
    to->room -= moved;
    ++to->hosts;
    if (to->room == 0) {
      *to = receivers_.back();
      receivers_.pop_back();
    }
    if (s.surplus > 0) {
      refresh(s);
      continue;
    }
    if (s.surplus < 0) receivers_.push_back({.room = -s.surplus, .rank = s.rank});
    s = sources_.back();
    sources_.pop_back();
  }
}

SHUNT_CONSTEXPR solution<token_quotas> quotas::operator()(expert_layers const& problem) const {
  auto const homes = home_ranks(problem);
  if (cap.denominator < 1 || cap.numerator < cap.denominator)
    throw invalid_problem("cap", "must be at least 1, is " + std::to_string(cap.numerator) + "/" +
                                     std::to_string(cap.denominator));
  auto const experts = static_cast<std::size_t>(problem.experts);
  std::vector<char> live;
  std::int32_t alive = 0;
  for (auto const s : problem.slots_per_rank) alive += live.emplace_back(s > 0);
  solution<token_quotas> answer;
  answer.plan.copies.reserve(static_cast<std::size_t>(problem.layers) *
                             problem.slots_per_rank.size());
  std::vector<quota_rule> rule;  // one, or one per layer if the homes differ
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const loads = problem.loads_of(l);
    auto const at_home = std::span(homes).subspan(l.index() * experts, experts);
    std::int64_t total = 0;
    for (auto const load : loads) total += load;
    if (rule.empty() || !problem.previous.empty())
      rule.assign(1, quota_rule(problem.ranks(), at_home, live));
    auto const cap_tokens = slot_capacity(total, alive, cap);
    auto const copies = rule[0](loads, cap_tokens);
    answer.plan.copies.insert(answer.plan.copies.end(), copies.begin(), copies.end());
    answer.plan.first_copy.push_back(static_cast<std::int32_t>(answer.plan.copies.size()));
    answer.lower_bound +=
        static_cast<double>(copies_bound(loads, at_home, problem.ranks(), live, cap_tokens));
  }
  answer.objective = static_cast<double>(answer.plan.copies.size());
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

}  // namespace shunt
