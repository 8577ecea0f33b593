#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"
#include "shunt/solve/pipeline/ring_one_f_one_b.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_policy.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// Bamboo: the ranks of a pipeline form a ring, and each keeps the state of the next one's stage up
/// to date, too: it is its shadow. After a loss the shadow goes on for both stages, at once: no
/// state moves. A loss is fatal where the rank has two stages, or no live rank of one stage shadows
/// it. Then pipelines are formed anew at once; otherwise after the iteration, where `rendezvous`
/// says so and the live ranks fill a pipeline.
///
/// Anew: as many pipelines of S ranks as the live ones fill, as `refilled` says, which share the
/// micro-batches evenly; the rest waits. States come from any live rank, shadows among them.
///
/// Infeasible where a loss is fatal and the live ranks don't fill a pipeline.
/// Reference: Thorpe et al., Bamboo, NSDI 2023.
struct bamboo_rule {
  static constexpr std::string_view name = "bamboo";
  static constexpr std::int64_t every = 0;

  bamboo_rendezvous rendezvous{};
  /// Until a loss, shadows repeat the forwards of the stages that they shadow. Losses have the same
  /// bits without.
  bool repeats_forwards = true;

  /// Returns the start: all ranks of the job, each with its shadow.
  /// Throws invalid_problem where a rank has other than one stage, or stashes are capped, which
  /// those of a rank of two stages would exceed.
  [[nodiscard]] arrangement start(pipeline_job const& job) const;
  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
  /// Returns a schedule of the arrangement's job with its redundant forwards: all of them where
  /// every rank has one stage and shadows the next, otherwise none.
  [[nodiscard]] std::optional<redundant_schedule> repeated(arrangement const& a,
                                                           pipeline_schedule const& plain) const;
};

/// The solver takes ranks of two stages that are neighbours in the ring.
template <solver_for<pipeline_job> Solver = ring_one_f_one_b>
using bamboo_policy = planned_policy<bamboo_rule, Solver>;
static_assert(training_policy<bamboo_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/bamboo_policy.ipp"
#endif
