#pragma once
/// Decoupled BackProp: backward_input runs first, backward_weight when a worker has nothing else to
/// do.
///
/// Every fused backward becomes a backward_input in its place. The backward_weights wait in their
/// order until the worker would idle, or until the stash cap blocks the next forward. Every worker
/// keeps the order of its forwards and input gradients. Where the period does not become shorter,
/// the schedule stays as it is.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(n log n) for n operations.
/// Reference: SlipStream, arXiv 2405.14009; Zero Bubble, arXiv 2401.10241.
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Improver: splits fused backwards.
struct split_backward {
  static constexpr std::string_view name = "split_backward";
  static constexpr bool improves = true;

  /// Returns the split schedule where its period is shorter, else the given schedule, evaluated.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job,
                                                                 pipeline_schedule schedule) const {
    validate(job);
    indexed<rank_id, detail::operation_streams> streams(static_cast<std::size_t>(job.ranks()));
    for (rank_id r : ids<rank_id>(job.ranks())) {
      std::vector<operation> urgent, weights;
      for (operation o : schedule.order[r]) {
        if (o.kind == op_kind::step) continue;
        if (o.kind == op_kind::backward || o.kind == op_kind::backward_weight)
          weights.push_back({op_kind::backward_weight, o.pipeline, o.stage, o.microbatch});
        if (o.kind == op_kind::backward) o.kind = op_kind::backward_input;
        if (o.kind != op_kind::backward_weight) urgent.push_back(o);
      }
      streams[r] = {std::move(urgent), std::move(weights)};
    }
    auto merged = detail::merge_streams(job, streams);
    auto before = evaluated(job, std::move(schedule));
    if (!merged.complete) return before;
    merged.schedule.staggered_step = before.plan.staggered_step;
    auto after = evaluated(job, std::move(merged.schedule));
    bool const better =
        after.has_plan() && (!before.has_plan() || after.objective < before.objective);
    return better ? after : before;
  }
};
static_assert(improver_for<split_backward, pipeline_job, pipeline_schedule>);

}  // namespace shunt
