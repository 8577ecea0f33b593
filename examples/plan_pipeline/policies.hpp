#pragma once
/// --policy: what a system runs after the losses of --dead.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "bamboo.hpp"
#include "named.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/lower/stage_copies.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/drop_policy.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "shunt/train/regroup_policy.hpp"
#include "shunt/train/training_policy.hpp"

namespace plan_pipeline {

/// A policy and the solver of its iterations.
struct policy {
  std::string_view name;
  std::string_view solver;
  /// Gives the live ranks other parts; without, all keep theirs and the solver does the rest.
  shunt::solution<shunt::arrangement> (*next)(shunt::situation const&) = nullptr;
};

template <class Policy>
inline constexpr policy rearranging{Policy::name, shunt::one_f_one_b::name,
                                    [](shunt::situation const& s) { return Policy{}(s); }};

inline constexpr std::array policies{
    policy{shunt::slipstream::name, shunt::slipstream::name}, policy{bamboo_name, bamboo_name},
    rearranging<shunt::oobleck_policy<>>, rearranging<shunt::drop_policy<>>,
    rearranging<shunt::regroup_policy<>>};

/// The policy of --policy, and the solver: the one of --solver where the policy leaves the choice.
/// Throws invalid_problem where it doesn't.
[[nodiscard]] inline policy const& policy_named(std::string_view name, bool has_solver,
                                                std::string& solver) {
  auto const& found = example::named(policies, name);
  if (!has_solver) solver = found.solver;
  if ((found.next == nullptr || solver == bamboo_name) && solver != found.solver)
    throw shunt::invalid_problem("--solver",
                                 solver + " can't be together with --policy " + std::string(name));
  return found;
}

/// Which ranks of the start go on, and what they get first.
struct continuation {
  std::vector<shunt::rank_id> members{};  ///< `members[r]`: the rank that is r in the new job
  std::vector<shunt::rank_id> waiting{};
  std::vector<shunt::layer_copy> copies{};  ///< of stages
};

/// Replaces a job by the one that its live ranks go on with, and sets `to`. Returns why there is
/// none.
[[nodiscard]] inline shunt::text go_on(shunt::pipeline_job& job, policy const& by,
                                       continuation& to) {
  auto const start = shunt::starting_arrangement(job);
  to.members = start.members;
  if (by.next == nullptr || job.dead.empty()) return {};
  std::vector<shunt::rank_id> dead;
  for (shunt::worker const w : job.dead) dead.push_back(job.rank_of(w));
  std::sort(dead.begin(), dead.end());
  auto const next = by.next({start.job, start, dead});
  if (!next.has_plan()) return next.reason;
  auto const ranks = start.job.ranks();
  auto const before = shunt::stages_held(start, ranks, dead),
             after = shunt::stages_held(next.plan, ranks);
  if (auto const lost = shunt::stage_without_holder(before, job.stages))
    return shunt::text("no live rank has stage ") + shunt::text::of(lost->value());
  to.members = next.plan.members;
  to.waiting = shunt::waiting_ranks(after, dead);
  to.copies = shunt::copies_between(before, after, job.transfer.ranks_per_node);
  job = next.plan.job;
  return {};
}

}  // namespace plan_pipeline
