#pragma once
/// Decides whether a pipeline job has a plan of a given period: the engine of `branch_and_bound`.
///
/// Searches a box of starts of the stage groups as a job shop and cuts the box in two where the
/// plan found exceeds its own window. See docs/pipeline-solvers.md.
/// Complexity: exponential.
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/job_shop.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"

namespace shunt::detail {

/// Decides whether a plan of period Theta exists.
class exact_period {
 public:
  exact_period(pipeline_job const& job, bool split, bool stagger, routing rule, std::int64_t nodes,
               std::stop_token stop);

  using search_result = exact_search::search_result;

  /// Returns `found` where a plan has at most this period; `plan` then holds it.
  [[nodiscard]] search_result possible(ticks theta);
  [[nodiscard]] pipeline_schedule const& plan() const { return plan_; }
  /// Returns the time of all operations one after another. A plan that never idles on all ranks at
  /// once is not longer.
  [[nodiscard]] ticks whole() const;

 private:
  struct box {
    stage_group_starts low{}, high{};
  };

  [[nodiscard]] std::size_t stage_group_of(exact_shop::type const& t) const;

  void find_first_groups();

  /// Sets the windows of the box and removes the starts that heads and tails exclude.
  /// Returns false where no start is left.
  [[nodiscard]] bool tighten(box& b, std::vector<ticks> const& length);

  /// Builds `plan_` from the order that the search found.
  void read_plan();

  /// Splits the box in two at the stage group that exceeds its window most: it starts by a point
  /// between, or after it.
  void cut(box const& b, std::vector<ticks> const& length, std::vector<box>& open);

  pipeline_job const& job_;
  bool stagger_;
  stage_groups in_;
  exact_shop shop_;
  std::int64_t nodes_left_;
  std::stop_token stop_;
  exact_search search_;
  std::vector<ticks> steps_;
  /// The first of all stage groups that messages join: the others start relative to it.
  std::vector<std::size_t> first_groups_{};
  pipeline_schedule plan_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/exact_period.ipp"
#endif
