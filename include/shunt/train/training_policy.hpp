#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/slow_watch.hpp"

namespace shunt {

/// What a policy decides by, after a loss of ranks.
struct situation {
  pipeline_job const& start;  ///< the job that the run started with
  /// Its ranks have the state from which training continues. Some of them are dead.
  arrangement const& now;
  std::span<rank_id const> dead{};  ///< of the run, ascending
  /// By rank of the run, how slow each was found; empty: none is watched.
  std::span<slow_verdict const> paces{};

  [[nodiscard]] bool is_dead(rank_id r) const {
    return std::binary_search(dead.begin(), dead.end(), r);
  }
  [[nodiscard]] bool is_slow(rank_id r) const { return !paces.empty() && paces[r.index()].slow(); }
};

/// How training goes on without lost ranks. `p(situation)` returns the next arrangement. It has all
/// stages, only live ranks, and as many micro-batches in all as the start. The state goes to its
/// ranks from those of `now`, and is lost where none of a stage is alive. `p.schedule(job)` plans
/// an iteration of an arrangement's job where that has no schedule itself. With `p.every` above 0
/// all ranks go back to the last checkpoint, one each so many iterations; without, only the
/// interrupted iteration is done again.
///
/// After an `interim` arrangement's iteration `p(situation)` is asked without a loss: no rank of
/// `now` is dead. So is a policy whose member `follows_paces` is true where other ranks are slow
/// than before. `p.start(job)`, where there is
/// one, is the arrangement in which a run begins. `p.repeated(arrangement, schedule)`, where there
/// is one, adds redundant forwards to a schedule of the arrangement's job, or returns nothing.
///
/// Re-routing (pipeline_run with a solver of pipeline jobs) is the policy that changes no
/// arrangement and needs no transition.
template <class P>
concept training_policy = requires(P const& p, situation const& s, pipeline_job const& job) {
  { p.name } -> std::convertible_to<std::string_view>;
  { p.every } -> std::convertible_to<std::int64_t>;
  { p(s) } -> std::same_as<solution<arrangement>>;
  { p.schedule(job) } -> std::same_as<solution<pipeline_schedule>>;
};

/// Returns the arrangement in which a run under a policy begins: the policy's own, or that of the
/// job. Dead ranks count as alive.
/// Throws what the policy throws.
template <training_policy P>
[[nodiscard]] arrangement start_under(P const& policy, pipeline_job const& job) {
  if constexpr (requires { policy.start(job); })
    return policy.start(job);
  else
    return starting_arrangement(job);
}

/// Returns whether the policy is asked where other ranks are slow than before.
template <training_policy P>
[[nodiscard]] constexpr bool follows_paces(P const& policy) {
  if constexpr (requires { policy.follows_paces; })
    return policy.follows_paces;
  else
    return false;
}

/// Returns the schedule of an arrangement or, where it has none, the policy's for its job.
template <training_policy P>
[[nodiscard]] solution<pipeline_schedule> schedule_under(P const& policy, arrangement const& a) {
  if (a.schedule.order.empty()) return policy.schedule(a.job);
  return {.plan = a.schedule, .status = status::feasible};
}

}  // namespace shunt
