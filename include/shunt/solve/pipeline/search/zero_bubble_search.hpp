#pragma once
/// The search behind `zero_bubble`: makes orders under simple rules and costs, then executes them
/// under the true costs.
///
/// A recipe defines one order: the costs under which the ranks plan, the operation that they
/// prefer, how far ahead forwards run, and how long a rank waits for the next forward or
/// backward_input before it fills the time with a backward_weight. The search starts from recipes
/// that are known to suit a schedule and changes one ingredient of the best at a time. The
/// remaining effort moves single operations a few places within their rank. Effort counts
/// operations placed, so the answer is the same on any platform.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"
#include "shunt/solve/pipeline/search/repeated_block.hpp"

namespace shunt::detail {

/// The ingredients of one order, each as an index.
struct recipe {
  /// light_weights: equal costs, but backward_weights a little shorter.
  enum plan_costs : std::uint8_t { true_costs, equal_costs, light_weights };
  enum preference : std::uint8_t {
    inputs,
    way,
    way_and_half,
    way_twice,
    way_thrice,
    shortest_block,
    late_turn_block,
    half_block,
    half_block_back
  };
  /// In micro-batches after their backward_input.
  enum weights : std::uint8_t { last, with_input, half_later, one_later, two_later };
  enum ahead : std::uint8_t {
    unlimited,
    fit_half,
    fit_one,
    fit_one_and_half,
    over_half,
    over_one,
    over_one_and_half,
    fill,
    fill_more,
    plain,
    by_block
  };
  /// until_weight plans as if a backward_input gave nothing back.
  enum memory : std::uint8_t { as_weighed, until_weight };

  std::uint8_t costs = true_costs, prefers = inputs, puts_weights = last, runs_ahead = unlimited,
               patience = 0, stash = as_weighed;
  constexpr bool operator==(recipe const&) const = default;
};
/// Number of choices of each ingredient, in the order of `ingredient`.
inline constexpr std::array<std::uint8_t, 6> recipe_choices{3, 9, 5, 11, 5, 2};

/// One search. Keeps a reference to the job.
class zero_bubble_search {
 public:
  /// `bound`: no value is below, in ticks. `effort`: limit on the operations placed.
  /// Requires a valid job without dead ranks.
  zero_bubble_search(pipeline_job const& job, bool stagger, ticks bound, std::int64_t effort)
      : job_(job), chain_(job), stagger_(stagger), left_(effort) {
    unit_ = job.transfer.within_node == 0 ? 0 : job.transfer.within_node;
    auto const divide = [&](ticks cost) { unit_ = std::gcd(unit_, cost); };
    divide(job.transfer.between_nodes);
    for (stage_id s : ids<stage_id>(job.stages))
      for (ticks const cost : {job.costs.forward[s], job.costs.backward_input[s],
                               job.costs.backward_weight[s], job.costs.step[s]})
        divide(cost);
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
      true_.push_back({job.costs.forward[s] / unit_, job.costs.backward_input[s] / unit_,
                       job.costs.backward_weight[s] / unit_, link(chain_.next(q)),
                       link(chain_.previous(q))});
    }
  }

  [[nodiscard]] chain_scheduler& chain() { return chain_; }
  /// Returns whether the bound is reached or the effort is used up.
  [[nodiscard]] bool finished() const { return best_ <= bound_ || left_ <= 0; }

  /// Takes the order of another plan as a candidate, such as one made for other costs.
  void evaluate(std::vector<std::int32_t> const& sequence) {
    chain_.use(true_);
    chain_.replay(sequence);
    keep();
  }

  /// Tries the recipes `known`, then others, until the search is finished.
  void search(std::vector<recipe> const& known) {
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

  /// Returns the best recipe.
  [[nodiscard]] recipe const& favourite() const { return favourite_; }
  /// Returns the best order, as entries of `chain_order`.
  [[nodiscard]] std::vector<std::int32_t> const& sequence() const { return sequence_; }
  /// Returns the makespan, or with a staggered step a period that the plan keeps, in ticks of the
  /// job.
  [[nodiscard]] ticks best() const { return best_ * unit_; }

 private:
  [[nodiscard]] static std::uint8_t& ingredient(recipe& r, std::size_t part) {
    std::uint8_t* const parts[] = {&r.costs,      &r.prefers,  &r.puts_weights,
                                   &r.runs_ahead, &r.patience, &r.stash};
    return *parts[part];
  }

  /// Changes one ingredient of the best recipe at a time.
  void climb() {
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

  /// Returns a pseudo-random number below `below`.
  [[nodiscard]] std::size_t roll(std::size_t below) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((state_ >> 33) % below);
  }

  /// Tries a recipe. Returns whether it is the best so far.
  bool attempt(recipe const& r) {
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

  /// Keeps the last run, under the true costs, if it is the best so far.
  /// Returns whether it is.
  bool keep() {
    auto const now = value();
    if (!sequence_.empty() && now >= std::pair(best_, best_mean_)) return false;
    std::tie(best_, best_mean_) = now;
    sequence_ = chain_.sequence();
    return true;
  }

  /// Returns the value of the last run, and the mean over the ranks as the tie-breaker.
  [[nodiscard]] std::pair<ticks, ticks> value() {
    if (stagger_) return chain_.spans(steps_);
    return {chain_.makespan(), chain_.mean_end()};
  }

  /// Moves single operations of the best order a few places within their rank where that is no
  /// worse. `weights`: backward_weights as well, which otherwise are placed by the scheduler. Stops
  /// when the effort falls to `until`.
  void polish(bool weights, std::int64_t until) {
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

  /// Returns the costs under which a recipe plans.
  [[nodiscard]] std::vector<position_costs> costs_of(recipe const& r) const {
    if (r.costs == recipe::true_costs) return true_;
    return std::vector<position_costs>(true_.size(),
                                       {20, 20, r.costs == recipe::equal_costs ? 20 : 19, 0, 0});
  }

  /// Returns the keys and limits of a recipe.
  [[nodiscard]] chain_rules rules_of(recipe const& r) {
    auto const positions = chain_.positions();
    auto costs = costs_of(r);
    int shift = 0;  // keys may be inexact, but must fit
    ticks sum = 0;
    for (auto const& c : costs)
      sum +=
          (c.forward + c.input + c.weight + c.onward + c.back) / static_cast<ticks>(positions) + 1;
    while ((sum >> shift) >
           (ticks{1} << 56) / static_cast<ticks>(positions) / (job_.microbatches + 8))
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
    ticks const far = rules.slope * (job_.microbatches + 2) + 4 * longest;
    static constexpr block_shape shapes[] = {{},
                                             {.turn = 1},
                                             {.forward = {1, 0}, .input = {1, 0}},
                                             {.forward = {0, 1}, .input = {0, 1}}};
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

  /// Limits the forwards in flight of a worker.
  static void limit(position_rule& rule, std::int64_t most) {
    rule.in_flight = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(most, 1, std::numeric_limits<std::int32_t>::max()));
  }

  /// Returns the forwards in flight of each worker: k / 24 per stage behind it and `extra` / 24
  /// more, for the largest k that fits the caps. With `over` one more stash is allowed.
  [[nodiscard]] std::vector<std::int64_t> fitting(std::int64_t extra, bool over) const {
    std::vector<std::int64_t> parts(chain_.positions());
    for (std::int64_t k = 48; k > 0; --k) {
      std::vector<std::int64_t> room(static_cast<std::size_t>(job_.ranks()));
      for (std::size_t r = 0; r < room.size(); ++r) room[r] = chain_.room(r);
      bool fits = true;
      for (std::size_t q = 0; q < parts.size(); ++q) {
        parts[q] = std::max<std::int64_t>(
            1, ((job_.stages - chain_.at(q).stage.value()) * k + extra) / 24);
        auto& left = room[chain_.rank_of(q)];
        left -= std::min(left + 2 * chain_.weight(q), parts[q] * chain_.weight(q));
        fits = fits && left >= (over ? -chain_.weight(q) : 0);
      }
      if (fits) break;
    }
    return parts;
  }

  pipeline_job const& job_;
  chain_scheduler chain_;
  bool stagger_;
  std::int64_t left_;
  ticks unit_ = 1, bound_ = 0;
  std::vector<ticks> steps_{};
  std::vector<position_costs> true_{};
  std::vector<recipe> tried_{};
  recipe favourite_{}, planned_{};
  chain_order order_{};
  std::uint64_t state_ = 1;
  ticks best_ = std::numeric_limits<ticks>::max() / 2, best_mean_ = 0;
  std::vector<std::int32_t> sequence_{};
};

}  // namespace shunt::detail
