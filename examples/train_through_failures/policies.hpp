#pragma once
/// Training under a policy that gives workers other parts after a loss.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "run_in_process.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"
#include "shunt/train/bamboo_policy.hpp"
#include "shunt/train/drop_policy.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "shunt/train/policy_run.hpp"
#include "shunt/train/regroup_policy.hpp"

namespace example {

/// Any of the library's policies.
struct named_policy {
  std::string name{};
  std::int64_t every = 0;
  std::function<shunt::solution<shunt::arrangement>(shunt::situation const&)> next{};
  std::function<shunt::solution<shunt::pipeline_schedule>(shunt::pipeline_job const&)> plan{};
  std::function<shunt::arrangement(shunt::pipeline_job const&)> first{};
  std::function<std::optional<shunt::redundant_schedule>(shunt::arrangement const&,
                                                         shunt::pipeline_schedule const&)>
      repeat{};

  [[nodiscard]] shunt::solution<shunt::arrangement> operator()(shunt::situation const& s) const {
    return next(s);
  }
  [[nodiscard]] shunt::solution<shunt::pipeline_schedule> schedule(
      shunt::pipeline_job const& job) const {
    return plan(job);
  }
  [[nodiscard]] shunt::arrangement start(shunt::pipeline_job const& job) const {
    return first(job);
  }
  [[nodiscard]] std::optional<shunt::redundant_schedule> repeated(
      shunt::arrangement const& a, shunt::pipeline_schedule const& plain) const {
    return repeat(a, plain);
  }
};
static_assert(shunt::training_policy<named_policy>);

/// Throws invalid_problem for another name than those of the rules.
[[nodiscard]] inline shunt::bamboo_rendezvous::rules rendezvous_of(std::string const& name) {
  using rules = shunt::bamboo_rendezvous::rules;
  if (name == "simulator") return rules::simulator;
  if (name == "coordinator") return rules::coordinator;
  throw shunt::invalid_problem("bamboo-rules",
                               example::quoted(name) + " is not simulator or coordinator");
}

/// Throws invalid_problem for another name than those of the policies.
[[nodiscard]] inline named_policy policy_of(options const& o) {
  auto const named = [](auto policy) {
    return named_policy{
        std::string(policy.name),
        policy.every,
        policy,
        [policy](shunt::pipeline_job const& job) { return policy.schedule(job); },
        [policy](shunt::pipeline_job const& job) { return shunt::start_under(policy, job); },
        [policy](auto const& a, auto const& plain) -> std::optional<shunt::redundant_schedule> {
          [[maybe_unused]] auto const& own = policy;
          if constexpr (requires { own.repeated(a, plain); }) return own.repeated(a, plain);
          return std::nullopt;
        }};
  };
  if (o.policy == shunt::oobleck_policy<>::name) return named(shunt::oobleck_policy<>{});
  if (o.policy == shunt::drop_policy<>::name) return named(shunt::drop_policy<>{});
  if (o.policy == shunt::regroup_policy<>::name)
    return named(shunt::regroup_policy<>{{.every = o.checkpoint_every}});
  if (o.policy == shunt::bamboo_policy<>::name)
    return named(shunt::bamboo_policy<>{{.rendezvous = {rendezvous_of(o.bamboo_rules)}}});
  throw shunt::invalid_problem(
      "policy", example::quoted(o.policy) + " is not slipstream, oobleck, drop, regroup or bamboo");
}

/// Throws invalid_problem, naming the first option that only re-routing has.
inline void refuse_with_policy(options const& o) {
  std::pair<bool, char const*> const others[] = {
      {!o.joins.empty(), "--join"},
      {o.salvage, "--salvage"},
      {o.training.validates(), "--clip or --inject-nan"},
      {o.compare_schedules, "--compare-schedules"},
      {!o.split, "--no-split: its pipelines run 1F1B"},
      {!o.stagger, "--no-stagger: its pipelines run 1F1B"},
      {o.sweep > 0, "--sweep"},
      {o.cuda, "--engine cuda"}};
  for (auto const& [there, option] : others)
    if (there)
      throw shunt::invalid_problem("policy", o.policy + " can't be together with " + option);
}

/// Where each kill strikes: in the middle of the worker's list under the plan that its iteration
/// begins with, or as asked. Throws invalid_problem where a worker waits then, or a kill ends the
/// run.
template <class Run>
[[nodiscard]] std::vector<shunt::failure_point> failures_under_policy(
    options const& o, Run const& run, std::optional<shunt::rank_id> only = {}) {
  auto const& job = o.training.job;
  std::map<std::int64_t, std::vector<shunt::rank_id>> lost;
  for (auto const& k : o.kills) lost[k.iteration].push_back(job.rank_of(k.who));
  std::vector<shunt::failure_point> all;
  for (std::size_t i = 0; i < o.kills.size(); ++i) {
    auto const& k = o.kills[i];
    auto const name = "kill[" + std::to_string(i) + "]";
    std::vector<std::vector<shunt::rank_id>> before;
    for (auto const& [iteration, ranks] : lost)
      if (iteration < k.iteration) before.push_back(ranks);
    auto const rank = job.rank_of(k.who);
    auto const plan_after = [&] {
      try {
        return run.plan_after(before);
      } catch (shunt::invalid_problem const& error) {
        throw shunt::invalid_problem(name, "comes after the end of the run: " +
                                               std::string(error.what()));
      }
    };
    auto const length =
        static_cast<std::int32_t>(plan_after().iteration->ranks[rank].instructions.size());
    if (length == 0)
      throw shunt::invalid_problem(name, "worker " + shunt::describe(k.who) +
                                             " waits in iteration " + std::to_string(k.iteration));
    if (o.kill_at.value_or(0) > length)
      throw shunt::invalid_problem(
          "kill-at", "worker " + shunt::describe(k.who) + " has " + std::to_string(length) +
                         " instructions in iteration " + std::to_string(k.iteration));
    if (only.value_or(rank) == rank)
      all.push_back({rank, k.iteration, o.kill_at.value_or(length / 2)});
  }
  return all;
}

/// Trains through the failures that are asked for, and says so on the way.
template <class Run, class Executor>
shunt::recovery_report run_under_policy(Run& run, options const& o, Executor const& executor,
                                        std::ostream& out = std::cout) {
  progress_bar const bar(o.training.iterations);
  progress_log live(out, o);
  run.on_change = [&](shunt::rearrangement const& r, shunt::planned_iteration const& plan) {
    bar.clear();
    live.change(o.policy, change_of(r, plan.period));
  };
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    bar.clear();
    live.iteration(i);
    bar.draw(i.iteration + 1);
  };
  live.plan(0, run.plan().period, {});
  auto report = run(executor);
  bar.clear();
  return report;
}

}  // namespace example
