#pragma once
/// Failure normalization: chooses the live workers that change rank so that n failures hurt least.
///
/// A stage group c has a_c failures now and n_c afterwards, with sum n_c = sum a_c - workers that
/// join and n_c below the group's size. The moves are sum max(0, n_c - a_c).
///     least max_c cost_c(n_c) with at most `most_moves` moves; then the fewest moves; then least
///     sum_c cost_c(n_c)
/// Alike stages end up evenly hit, at most ceil(n / S) each, as in the paper. Infeasible where a
/// stage has no live worker: its state is lost. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken, or more workers join than are dead.
/// Complexity: O(C n min(n, D) log(C D)) and C min(n + 1, D) costs, for n failures and C stage
/// groups of D ranks.
/// Reference: SlipStream, arXiv 2405.14009.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// A worker takes a rank that was dead.
struct role_change {
  rank_id to{};                   ///< the rank that it takes
  std::optional<rank_id> from{};  ///< the rank that it leaves, dead from then on; nothing: it joins
  rank_id copied_from{};          ///< a live peer of `to`, which stays there

  bool operator==(role_change const&) const = default;
};

/// The changes, and the workers that are dead afterwards.
struct normalized_failures {
  std::vector<std::int32_t> failures{};  ///< by stage group, in the order of `stage_groups(job)`
  std::vector<role_change> changes{};    ///< in the order of `to`; no rank is both left and taken
  std::vector<worker> dead{};            ///< the first worker of each dead rank, by rank

  /// Returns the number of workers that leave a live rank.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t moves() const;
  bool operator==(normalized_failures const&) const = default;
};

/// The least time of a stage group with k failures in it and none elsewhere, steps included: the
/// work of one rank, or all gradients after the first has arrived (the closed forms of slipstream).
class stage_group_cost {
 public:
  SHUNT_CONSTEXPR explicit stage_group_cost(pipeline_job const& job);

  /// Returns the time in ticks of stage group `c` with so many failures.
  /// Throws invalid_problem where a stage of the group would have no rank left.
  [[nodiscard]] SHUNT_CONSTEXPR ticks operator()(std::size_t c, std::int32_t failures) const;

 private:
  pipeline_job job_;
  stage_costs cost_;  // the least of a stage's workers, of the unit of length
  stage_groups in_;
  detail::stage_paths paths_;
  std::vector<std::int32_t> ranks_;  // by stage
};

namespace detail {

/// Counts n_c under a limit on cost: fewest moves from `now`, then the least sum of costs. Without
/// such counts `failures` is empty and `moves` is -1.
struct spread {
  ticks limit = 0;
  std::vector<std::int32_t> failures{};
  std::int32_t moves = -1;

  [[nodiscard]] constexpr bool found() const { return moves >= 0; }
};
/// Returns the spread of the least limit on cost that needs at most `most_moves` moves.
SHUNT_CONSTEXPR spread least_spread(std::vector<std::vector<ticks>> const& cost,
                                    std::vector<std::int32_t> const& now, std::int32_t failures,
                                    std::int32_t most_moves);

/// Returns cost[c][k] for all counts k that leave a live rank in stage group c.
template <class Cost>
SHUNT_CONSTEXPR std::vector<std::vector<ticks>> costs_of(pipeline_job const& job,
                                                         stage_groups const& in,
                                                         std::int32_t failures, Cost const& cost) {
  std::vector<std::int32_t> size(in.all.size(), 0);
  for (rank_id r : ids<rank_id>(job.ranks())) ++size[static_cast<std::size_t>(in.of[r])];
  std::vector<std::vector<ticks>> all(in.all.size());
  for (std::size_t c = 0; c < all.size(); ++c)
    for (std::int32_t k = 0; k < size[c] && k <= failures; ++k) all[c].push_back(cost(c, k));
  return all;
}

}  // namespace detail

/// A callable that returns the time of a stage group with so many failures, in ticks.
template <class Cost>
concept stage_group_cost_for =
    requires(Cost const& cost, std::size_t stage_group, std::int32_t failures) {
      { cost(stage_group, failures) } -> std::convertible_to<ticks>;
    };

/// Solver: places failures where they hurt least.
struct normalize_failures {
  static constexpr std::string_view name = "normalize_failures";
  static constexpr std::int32_t unlimited = std::numeric_limits<std::int32_t>::max();

  std::int32_t most_moves = unlimited;  ///< limit on the workers that leave a live rank
  std::int32_t joining = 0;             ///< workers that are back and take dead ranks

  /// Minimises the largest `stage_group_cost`.
  /// Returns the changes; the objective is the largest cost of a stage group, in ticks.
  /// Throws invalid_problem where the job is broken, or more workers join than are dead.
  [[nodiscard]] SHUNT_CONSTEXPR solution<normalized_failures> operator()(
      pipeline_job const& job) const;

  /// As above, with the caller's cost.
  /// Throws invalid_problem where the job is broken, or more workers join than are dead.
  template <stage_group_cost_for Cost>
  [[nodiscard]] SHUNT_CONSTEXPR solution<normalized_failures> operator()(pipeline_job const& job,
                                                                         Cost const& cost) const {
    validate(job);
    auto const dead = static_cast<std::int32_t>(job.dead.size());
    if (joining < 0 || joining > dead)
      throw invalid_problem("joining", "must be 0 to " + std::to_string(dead) +
                                           ", the dead workers, is " + std::to_string(joining));
    solution<normalized_failures> answer{.status = status::infeasible};
    if (auto const stage = stage_without_worker(job)) {
      answer.reason = text("stage ") + text::of(stage->value()) + " has no live worker";
      return answer;
    }
    stage_groups const in(job);
    std::vector<bool> is_dead(static_cast<std::size_t>(job.ranks()), false);
    for (worker const& w : job.dead) is_dead[job.rank_of(w).index()] = true;
    std::vector<std::int32_t> now(in.all.size(), 0);
    for (rank_id r : ids<rank_id>(job.ranks()))
      now[static_cast<std::size_t>(in.of[r])] += is_dead[r.index()];
    for (std::size_t c = 0; c < in.all.size(); ++c)
      if (in.all[c].live.empty()) {
        answer.reason = text("rank ") + text::of(lowest_of(in, c).value()) +
                        " and all that hold the same stages are dead";
        return answer;
      }
    auto const best = detail::least_spread(detail::costs_of(job, in, dead, cost), now,
                                           dead - joining, most_moves);
    if (!best.found()) {  // only with a limit: without one the failures may stay
      answer.reason = "no placement within the limit on moves";
      return answer;
    }
    answer = {.plan = assigned(job, in, is_dead, now, best.failures), .status = status::optimal};
    answer.objective = answer.lower_bound = static_cast<double>(best.limit);
    return answer;
  }

 private:
  /// Returns the lowest rank of a stage group.
  [[nodiscard]] static SHUNT_CONSTEXPR rank_id lowest_of(stage_groups const& in, std::size_t c);

  /// Assigns the changes. Ranks are taken and left lowest first. State comes over the cheapest
  /// link, then from the lowest rank.
  [[nodiscard]] static SHUNT_CONSTEXPR normalized_failures
  assigned(pipeline_job const& job, stage_groups const& in, std::vector<bool> is_dead,
           std::vector<std::int32_t> now, std::vector<std::int32_t> failures);
};
static_assert(solver_for<normalize_failures, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/normalize_failures.ipp"
#endif
