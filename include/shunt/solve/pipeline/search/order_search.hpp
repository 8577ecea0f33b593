#pragma once
/// Tabu search over the orders of the ranks, from one plan: the engine of `improve_order`.
///
/// See docs/pipeline-solvers.md.
/// Complexity: an evaluation is linear in the operations, times the number of stage groups where
/// the step is staggered.
/// Reference: Balas, Vazacopoulos 1998 (N6); Nowicki, Smutnicki 1996 (N5).
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/splitmix64.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/timed_schedule.hpp"

namespace shunt::detail {

/// Tabu search from one plan.
class order_search {
 public:
  order_search(pipeline_job const& job, pipeline_schedule const& plan, bool reroute,
               std::int64_t effort);

  /// Returns the best plan found. Stops where the period reaches `bound`.
  [[nodiscard]] pipeline_schedule best(ticks bound);

 private:
  using score = timed_schedule::score;
  static constexpr std::int32_t none = timed_schedule::none;
  static constexpr std::int64_t patience = 60;
  static constexpr std::size_t most_moves = 64;
  // with more stage groups, moves are compared at the groups' current starts
  static constexpr std::size_t most_lanes = 4;

  struct move {
    std::int32_t item = none;
    std::int32_t to_rank = none;   // another rank, or
    std::size_t from = 0, to = 0;  // positions in its own rank
  };

  template <class Integer>
  [[nodiscard]] static std::size_t at(Integer i) {
    return static_cast<std::size_t>(i);
  }

  /// Saves the current orders as the best ones.
  void keep();
  /// Restores the best orders.
  void recall();

  /// A stretch of the longest path without idling: positions [first, last] on a rank.
  struct block {
    std::int32_t rank;
    std::size_t first, last;
  };
  /// Splits the longest path into blocks.
  void find_blocks();

  /// Follows the longest path back from an item to the start of a stage group and appends its
  /// blocks.
  /// Returns that stage group.
  std::int32_t trace(std::int32_t i);
  /// Returns the producer of an input that arrives exactly at `start`, or `none`.
  [[nodiscard]] std::int32_t fed(timed_schedule::item const& x, std::int32_t rank,
                                 ticks start) const;
  /// Returns an operation of the stage that ends at `end`, or `none`.
  [[nodiscard]] std::int32_t last_of_stage(stage_id s, ticks end) const;

  /// Updates the position of every item in its list.
  void positions();

  /// Collects the moves of all blocks.
  void find_moves();

  /// Moves the entry at `from` to `to`; the entries between move up or down.
  static void shift(std::vector<std::int32_t>& list, std::size_t from, std::size_t to);

  /// Moves the operations of a micro-batch at a stage to another rank, each to the place where it
  /// would start now.
  /// Returns false where one of them is part of a pair.
  bool rehost(move const& m);

  /// Makes the move. Returns false where it breaks a cap.
  bool make(move const& m);
  /// Reverts a move; `rank` is the rank that the item had before.
  void undo(move const& m, std::int32_t rank);

  /// Saves the ends of all items for `rehost`.
  void remember_times();

  /// Keeps at most `most_moves` moves, chosen at random.
  void sample();

  /// Makes the best allowed move. Returns false where there is none.
  bool step();

  /// Restores the best plan and makes a few random moves of its longest path.
  /// Returns false where there are no moves.
  bool shake();

  pipeline_job const& job_;
  timed_schedule timed_;
  bool staggered_, reroute_, reroute_all_;
  std::int64_t left_;
  std::int64_t round_ = 1;
  splitmix64 random_{};
  score current_{}, best_{};
  timed_schedule::lists kept_{};
  std::vector<std::int32_t> rank_of_{};
  std::vector<std::int64_t> moved_{};  // by item: the round from which it may move again
  std::vector<std::size_t> position_{};
  std::vector<ticks> when_{};
  std::vector<block> blocks_{};
  std::vector<move> moves_{};
  std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> saved_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/order_search.ipp"
#endif
