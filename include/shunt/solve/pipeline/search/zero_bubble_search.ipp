#pragma once
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/solve/pipeline/search/repeated_block.hpp"

namespace shunt::detail {

SHUNT_INLINE zero_bubble_search::zero_bubble_search(pipeline_job const& job, bool stagger,
                                                    ticks bound, std::int64_t effort)
    : job_(job), chain_(job), stagger_(stagger), left_(effort) {
  unit_ = 0;
  for (ticks const time : job.transfer.values()) unit_ = std::gcd(unit_, time);
  for (auto const* list :
       {&job.costs.forward, &job.costs.backward_input, &job.costs.backward_weight, &job.costs.step})
    for (ticks const cost : list->values()) unit_ = std::gcd(unit_, cost);
  for (stage_id s : ids<stage_id>(job.stages)) steps_.push_back(job.costs.step[s] / unit_);
  bound_ = ceil_divide(bound, unit_);
  for (std::size_t q = 0; q < chain_.positions(); ++q) {
    stage_id const s = chain_.at(q).stage;
    auto const link = [&](std::int32_t to) {
      return to < 0
                 ? 0
                 : job.transfer(chain_.rank_of(q), chain_.rank_of(static_cast<std::size_t>(to))) /
                       unit_;
    };
    auto const time = [&](per_stage const& list) {
      return list.of(chain_.at(q).pipeline, s, job.stages) / unit_;
    };
    true_.push_back({time(job.costs.forward), time(job.costs.backward_input),
                     time(job.costs.backward_weight), link(chain_.next(q)),
                     link(chain_.previous(q))});
  }
}

SHUNT_INLINE void zero_bubble_search::evaluate(std::vector<std::int32_t> const& sequence) {
  chain_.use(true_);
  chain_.replay(sequence);
  keep();
}

SHUNT_INLINE void zero_bubble_search::search(std::vector<recipe> const& known) {
  for (recipe const& r : known) {
    if (finished() && !sequence_.empty()) return;
    attempt(r);
  }
  climb();
  std::int64_t const polishing = left_ / 2;
  for (int misses = 0; misses < 1000 && left_ > polishing && !finished();) {
    recipe any;
    for (std::size_t part = 0; part < recipe_choices.size(); ++part)
      ingredient(any, part) = static_cast<std::uint8_t>(roll(recipe_choices[part]));
    if (attempt(any)) climb();
    ++misses;
  }
  polish(false, left_ / 2);
  polish(true, 0);
}

SHUNT_INLINE std::uint8_t& zero_bubble_search::ingredient(recipe& r, std::size_t part) {
  std::uint8_t* const parts[] = {&r.costs,      &r.prefers,  &r.puts_weights,
                                 &r.runs_ahead, &r.patience, &r.stash};
  return *parts[part];
}

SHUNT_INLINE void zero_bubble_search::climb() {
  for (bool moved = true; moved && !finished();) {
    moved = false;
    for (std::size_t part = 0; part < recipe_choices.size(); ++part)
      for (std::uint8_t to = 0; to < recipe_choices[part] && !finished(); ++to) {
        recipe changed = favourite_;
        ingredient(changed, part) = to;
        moved = attempt(changed) || moved;
      }
  }
}

SHUNT_INLINE std::size_t zero_bubble_search::roll(std::size_t below) {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<std::size_t>((state_ >> 33) % below);
}

SHUNT_INLINE bool zero_bubble_search::attempt(recipe const& r) {
  if (std::find(tried_.begin(), tried_.end(), r) != tried_.end()) return false;
  tried_.push_back(r);
  bool better = false;
  recipe planned = r;
  planned.patience = 0;
  if (order_.entries.empty() || planned != planned_) {
    chain_.use(costs_of(r));
    chain_.hold_whole(r.stash == recipe::until_weight);
    chain_.run_listed(rules_of(r));
    left_ -= chain_.operations();
    if (r.costs == recipe::true_costs) better = keep();
    if (!finished() || sequence_.empty()) order_ = chain_.order();
    planned_ = planned;
  }
  if (!finished() || sequence_.empty()) {
    chain_.use(true_);
    chain_.hold_whole(r.stash == recipe::until_weight);
    left_ -= chain_.operations();
    if (chain_.run_ordered(order_, r.patience)) better = keep() || better;
  }
  if (better) favourite_ = r;
  return better;
}

SHUNT_INLINE bool zero_bubble_search::keep() {
  auto const now = value();
  if (!sequence_.empty() && now >= std::pair(best_, best_mean_)) return false;
  std::tie(best_, best_mean_) = now;
  sequence_ = chain_.sequence();
  return true;
}

SHUNT_INLINE std::pair<ticks, ticks> zero_bubble_search::value() {
  if (stagger_) return chain_.spans(steps_);
  return {chain_.makespan(), chain_.mean_end()};
}

SHUNT_INLINE void zero_bubble_search::polish(bool weights, std::int64_t until) {
  if (finished() || left_ < until + 4 * chain_.operations()) return;
  chain_.use(true_);
  chain_.hold_whole(!weights && favourite_.stash == recipe::until_weight);
  chain_.replay(sequence_);
  auto order = chain_.order(weights);
  auto const ranks = order.first.size() - 1;
  auto const run = [&] {
    left_ -= chain_.operations();
    if (!chain_.run_ordered(order, favourite_.patience))
      return std::pair{std::numeric_limits<ticks>::max(), ticks{0}};
    keep();
    return value();
  };
  auto current = run();
  while (!finished() && left_ > until) {
    auto const r = roll(ranks);
    auto const from = static_cast<std::ptrdiff_t>(order.first[r]),
               size = static_cast<std::ptrdiff_t>(order.first[r + 1]) - from;
    auto const distance = static_cast<std::ptrdiff_t>(1 + roll(4));
    left_ -= 1;
    if (size <= distance) continue;
    auto const at = order.entries.begin() + from +
                    static_cast<std::ptrdiff_t>(roll(static_cast<std::size_t>(size - distance)));
    bool const earlier = roll(2) == 0;
    if (*at == *(at + distance)) continue;
    auto const turn = [&](bool up) {
      std::rotate(at, up ? at + distance : at + 1, at + distance + 1);
    };
    turn(earlier);
    if (auto const now = run(); now <= current)
      current = now;
    else
      turn(!earlier);
  }
}

SHUNT_INLINE std::vector<position_costs> zero_bubble_search::costs_of(recipe const& r) const {
  if (r.costs == recipe::true_costs) return true_;
  return std::vector<position_costs>(true_.size(),
                                     {20, 20, r.costs == recipe::equal_costs ? 20 : 19, 0, 0});
}

SHUNT_INLINE chain_rules zero_bubble_search::rules_of(recipe const& r) {
  auto const positions = chain_.positions();
  auto costs = costs_of(r);
  int shift = 0;  // keys may be inexact, but must fit
  ticks sum = 0;
  for (auto const& c : costs)
    sum += (c.forward + c.input + c.weight + c.onward + c.back) / static_cast<ticks>(positions) + 1;
  while ((sum >> shift) >
         (ticks{1} << 56) / static_cast<ticks>(positions) / (job_.microbatches.most() + 8))
    ++shift;
  for (auto& c : costs)
    c = {(c.forward >> shift) + 1, (c.input >> shift) + 1, c.weight >> shift, c.onward >> shift,
         c.back >> shift};
  if (shift == 0)
    for (auto& c : costs) --c.forward, --c.input;

  chain_rules rules{.positions = std::vector<position_rule>(positions)};
  std::vector<ticks> work(static_cast<std::size_t>(job_.ranks()), 0), forward(positions, 0),
      input(positions, 0);
  for (std::size_t q = 0; q < positions; ++q)
    work[chain_.rank_of(q)] += costs[q].forward + costs[q].input + costs[q].weight;
  rules.slope = *std::max_element(work.begin(), work.end());
  ticks longest = 0;
  for (std::size_t begin = 0; begin < positions; ++begin) {
    if (chain_.previous(begin) >= 0) continue;
    ticks t = 0;
    std::size_t q = begin;
    while (true) {
      forward[q] = t;
      t += costs[q].forward;
      if (chain_.next(q) < 0) break;
      t += costs[q].onward;
      q = static_cast<std::size_t>(chain_.next(q));
    }
    while (true) {
      input[q] = t;
      t += costs[q].input;
      if (chain_.previous(q) < 0) break;
      t += costs[q].back;
      q = static_cast<std::size_t>(chain_.previous(q));
    }
    longest = std::max(longest, t);
  }
  ticks const far = rules.slope * (job_.microbatches.most() + 2) + 4 * longest;
  static constexpr block_shape shapes[] = {
      {}, {.turn = 1}, {.forward = {1, 0}, .input = {1, 0}}, {.forward = {0, 1}, .input = {0, 1}}};
  bool const by_block = r.prefers >= recipe::shortest_block;
  std::vector<std::int64_t> in_flight;
  if (by_block || r.runs_ahead == recipe::by_block) {
    repeated_block const block(job_, chain_,
                               shapes[by_block ? r.prefers - recipe::shortest_block : 0]);
    for (std::size_t q = 0; q < positions; ++q) {
      in_flight.push_back(block.in_flight(q));
      if (!by_block) continue;
      rules.positions[q].forward = block.forward[q] * rules.slope / block.period;
      rules.positions[q].input = block.input[q] * rules.slope / block.period;
    }
  }
  std::size_t const halves = r.prefers == recipe::way            ? 2
                             : r.prefers == recipe::way_and_half ? 3
                             : r.prefers == recipe::way_twice    ? 4
                                                                 : 6;
  std::int32_t ahead_of = 0;
  for (std::size_t q = positions; q-- > 0;) {
    auto& rule = rules.positions[q];
    bool const last_of_rank = q + 1 == positions || chain_.rank_of(q) != chain_.rank_of(q + 1);
    ahead_of = last_of_rank ? 0 : ahead_of + 1;
    if (r.prefers == recipe::inputs) {
      rule.forward = far + ahead_of;
      rule.input = -ahead_of;
    } else if (!by_block) {
      rule.forward = forward[q] * static_cast<ticks>(halves) / 2;
      rule.input = input[q] * static_cast<ticks>(halves) / 2;
    }
    switch (r.puts_weights) {
      case recipe::last: rule.weight = 2 * far + rule.input; break;
      case recipe::with_input: rule.weight = rule.input + 1; break;
      case recipe::half_later: rule.weight = rule.input + rules.slope / 2; break;
      case recipe::one_later: rule.weight = rule.input + rules.slope; break;
      default: rule.weight = rule.input + 2 * rules.slope; break;
    }
  }
  switch (r.runs_ahead) {
    case recipe::unlimited: break;
    case recipe::fill:
    case recipe::fill_more:
      for (std::size_t q = 0; q < positions; ++q)
        limit(rules.positions[q],
              (input[q] - forward[q]) / costs[q].forward + (r.runs_ahead == recipe::fill_more));
      break;
    case recipe::plain:
      for (std::size_t q = 0; q < positions; ++q)
        limit(rules.positions[q], (input[q] - forward[q]) / rules.slope + 1);
      break;
    case recipe::by_block:
      for (std::size_t q = 0; q < positions; ++q) limit(rules.positions[q], in_flight[q]);
      break;
    default: {
      bool const over = r.runs_ahead >= recipe::over_half;
      auto const parts =
          fitting(12 * (r.runs_ahead - (over ? recipe::over_half : recipe::fit_half) + 1), over);
      for (std::size_t q = 0; q < positions; ++q) limit(rules.positions[q], parts[q]);
    }
  }
  return rules;
}

SHUNT_INLINE void zero_bubble_search::limit(position_rule& rule, std::int64_t most) {
  rule.in_flight = static_cast<std::int32_t>(
      std::clamp<std::int64_t>(most, 1, std::numeric_limits<std::int32_t>::max()));
}

SHUNT_INLINE std::vector<std::int64_t> zero_bubble_search::fitting(std::int64_t extra,
                                                                   bool over) const {
  std::vector<std::int64_t> parts(chain_.positions());
  for (std::int64_t k = 48; k > 0; --k) {
    std::vector<std::int64_t> room(static_cast<std::size_t>(job_.ranks()));
    for (std::size_t r = 0; r < room.size(); ++r) room[r] = chain_.room(r);
    bool fits = true;
    for (std::size_t q = 0; q < parts.size(); ++q) {
      parts[q] =
          std::max<std::int64_t>(1, ((job_.stages - chain_.at(q).stage.value()) * k + extra) / 24);
      auto& left = room[chain_.rank_of(q)];
      left -= std::min(left + 2 * chain_.weight(q), parts[q] * chain_.weight(q));
      fits = fits && left >= (over ? -chain_.weight(q) : 0);
    }
    if (fits) break;
  }
  return parts;
}

}  // namespace shunt::detail
