#pragma once
/// The search behind `layer_planner`, for one pipeline: cuts of several layouts, each ordered by
/// the search of `zero_bubble`.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/search/border_search.hpp"
#include "shunt/solve/pipeline/search/zero_bubble_search.hpp"

namespace shunt::detail {

/// One search. Keeps a reference to the job.
class partition_search {
 public:
  static constexpr ticks nothing = std::numeric_limits<ticks>::max();

  /// `bound`: no makespan is below. `effort`: limit on the operations placed.
  /// Requires a valid job of one pipeline.
  partition_search(layer_job const& job, ticks bound, std::int64_t effort, std::stop_token stop);

  /// Searches cuts of at most `chunks` chunks a rank, under wave layouts as well where `waves`, and
  /// under custom ones where `dealt` and the memory has no limit.
  void search(std::int32_t chunks, bool waves, bool dealt);

  /// Returns the least makespan found, or `nothing`.
  [[nodiscard]] ticks best() const { return best_; }
  /// Returns the plan of that makespan.
  /// Requires that there is one.
  [[nodiscard]] layer_partition plan() const;

 private:
  struct candidate {
    std::size_t shape = 0;  // index into layouts_, unless dealt
    stage_layout layout = stage_layout::linear();
    stage_borders borders{};
    ticks bound = 0;         // of its orders
    ticks found = nothing;   // its best makespan
    std::int64_t spent = 0;  // runs
    recipe favourite{};
    std::vector<ticks> idle{};  // of each rank, under its best order
  };

  [[nodiscard]] bool finished() const {
    return best_ <= bound_ || left_ <= 0 || stop_.stop_requested();
  }
  [[nodiscard]] std::int64_t operations(candidate const& c) const;
  /// Adds the cuts of a layout.
  void add(stage_layout const& layout, std::int32_t stages, std::size_t most, std::int64_t effort);
  /// Searches further cuts of the layouts with the least bounds.
  void improve_cuts(std::size_t most, std::int64_t effort);
  /// Orders the stages of a cut with at most so many runs, from the recipes `known`.
  void order(candidate& c, std::int64_t runs, std::vector<recipe> const& known);
  /// Takes even numbers of layers under interleaved 1F1B.
  void even_interleaved();
  /// Cuts anew for what the ranks idled under the best order, and orders that, some times over.
  void rebalance(candidate c);
  /// Deals stages to ranks and orders them, again and again, for what the ranks idled.
  void deal(std::int32_t chunks);
  /// Where an order is a small part of the effort: by the search of `zero_bubble`.
  void deal_brief(std::int32_t chunks);
  /// By feeding ranks, until the start is over.
  void deal_long(std::int32_t chunks);
  /// Moves borders of a candidate while that makes it faster.
  void move_borders(candidate c);
  void keep(candidate const& c, ticks makespan, pipeline_job job, pipeline_schedule schedule);
  /// Local search over the orders of the best plans.
  void polish();

  layer_job const& job_;
  ticks bound_, best_ = nothing;
  std::int64_t left_, effort_;
  std::stop_token stop_;
  std::vector<border_search> layouts_{};
  std::vector<candidate> all_{};
  layer_partition plan_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/partition_search.ipp"
#endif
