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
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"

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
  bool operator==(recipe const&) const = default;
};
/// Number of choices of each ingredient, in the order of `ingredient`.
inline constexpr std::array<std::uint8_t, 6> recipe_choices{3, 9, 5, 11, 5, 2};

/// One search. Keeps a reference to the job.
class zero_bubble_search {
 public:
  /// `bound`: no value is below, in ticks. `effort`: limit on the operations placed.
  /// Requires a valid job without dead ranks.
  zero_bubble_search(pipeline_job const& job, bool stagger, ticks bound, std::int64_t effort);

  [[nodiscard]] chain_scheduler& chain() { return chain_; }
  /// Returns whether the bound is reached or the effort is used up.
  [[nodiscard]] bool finished() const { return best_ <= bound_ || left_ <= 0; }

  /// Takes the order of another plan as a candidate, such as one made for other costs.
  void evaluate(std::vector<std::int32_t> const& sequence);

  /// Tries the recipes `known`, then others, until the search is finished.
  void search(std::vector<recipe> const& known);

  /// Returns the best recipe.
  [[nodiscard]] recipe const& favourite() const { return favourite_; }
  /// Returns the best order, as entries of `chain_order`.
  [[nodiscard]] std::vector<std::int32_t> const& sequence() const { return sequence_; }
  /// Returns the makespan, or with a staggered step a period that the plan keeps, in ticks of the
  /// job.
  [[nodiscard]] ticks best() const { return best_ * unit_; }

 private:
  [[nodiscard]] static std::uint8_t& ingredient(recipe& r, std::size_t part);

  /// Changes one ingredient of the best recipe at a time.
  void climb();

  /// Returns a pseudo-random number below `below`.
  [[nodiscard]] std::size_t roll(std::size_t below);

  /// Tries a recipe. Returns whether it is the best so far.
  bool attempt(recipe const& r);

  /// Keeps the last run, under the true costs, if it is the best so far.
  /// Returns whether it is.
  bool keep();

  /// Returns the value of the last run, and the mean over the ranks as the tie-breaker.
  [[nodiscard]] std::pair<ticks, ticks> value();

  /// Moves single operations of the best order a few places within their rank where that is no
  /// worse. `weights`: backward_weights as well, which otherwise are placed by the scheduler. Stops
  /// when the effort falls to `until`.
  void polish(bool weights, std::int64_t until);

  /// Returns the costs under which a recipe plans.
  [[nodiscard]] std::vector<position_costs> costs_of(recipe const& r) const;

  /// Returns the keys and limits of a recipe.
  [[nodiscard]] chain_rules rules_of(recipe const& r);

  /// Limits the forwards in flight of a worker.
  static void limit(position_rule& rule, std::int64_t most);

  /// Returns the forwards in flight of each worker: k / 24 per stage behind it and `extra` / 24
  /// more, for the largest k that fits the caps. With `over` one more stash is allowed.
  [[nodiscard]] std::vector<std::int64_t> fitting(std::int64_t extra, bool over) const;

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

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/zero_bubble_search.ipp"
#endif
