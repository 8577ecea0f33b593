#pragma once
/// A run in this process, as it is watched: what is said while it goes on, and what it came to.
/// Training under a policy that gives workers other parts after a loss.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "options.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "slow.hpp"

namespace example {

/// How far training is, redrawn in place on a terminal and nowhere else.
class progress_bar {
 public:
  explicit progress_bar(std::int64_t total) : total_(total) {}
  ~progress_bar() { clear(); }
  void clear() const {
    if (on_) std::cerr << "\r\033[K" << std::flush;
  }
  void draw(std::int64_t done) const {
    if (!on_) return;
    constexpr std::int64_t width = 40;
    auto const filled = static_cast<std::size_t>(done * width / total_);
    std::cerr << "\r[" << std::string(filled, '=') << std::string(width - filled, ' ') << "] "
              << done << "/" << total_ << std::flush;
  }

 private:
  std::int64_t total_;
  bool on_ = isatty(STDERR_FILENO) == 1;
};

/// One line for every step before `until` that was left out or clipped, and who had to take it
/// back; `next` is the first not yet said.
template <class Run>
void print_steps(Run& run, progress_log& live, shunt::pipeline_job const& job, std::int64_t& next,
                 std::int64_t until) {
  if (!run.work().training().validates()) return;
  for (; next < until; ++next) {
    shunt::step_outcome seen;
    int taken_back = 0;
    for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks())) {
      auto const& mine = run.work().step_of(r, next);
      if (mine.left_out || mine.clipped) seen = mine;
      taken_back += mine.taken_back;
    }
    if (seen.left_out || seen.clipped) live.step(next, seen, taken_back);
  }
}

/// Whether a run gives workers other parts by a policy. Then it says itself why it stopped.
template <class Run>
inline constexpr bool has_policy = requires(Run const& run) { run.changes(); };

/// The stages that a rank of a run holds.
template <class Work>
std::vector<shunt::stage_id> stages_of(Work& work, shunt::rank_id r) {
  if constexpr (requires { work.held_by(r); })
    return work.held_by(r);
  else
    return work.training().job.stages_of(r);
}

/// What a run came to.
template <class Run>
trained result_of(Run& run, shunt::recovery_report const& report, options const& o) {
  auto const& job = o.training.job;
  trained all{.iterations = run.iterations(),
              .losses = report.losses,
              .stopped = reason_to_stop(o, report),
              .computing_share = run.work().computing_share(),
              .overflow = run.work().first_overflow()};
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    if (!std::binary_search(report.dead.begin(), report.dead.end(), r))
      for (shunt::stage_id const s : stages_of(run.work(), r))
        all.hashes[r][s] = shunt::hash_of(run.work().parameters(r, s));
  return all;
}

/// The plan of all sessions from an iteration on.
struct followed_plan {
  std::int64_t iteration = 0;
  shunt::planned_iteration plan{};
};

/// What happened in a run in this process.
struct run_record {
  shunt::recovery_report report{};
  std::vector<followed_plan> plans{};  ///< of a run without a policy, in order
  std::vector<pace_change> paces{};    ///< in order

  /// The plan of a session.
  [[nodiscard]] shunt::planned_iteration const& plan_of(
      shunt::recovery_report::session const& s) const {
    return std::find_if(plans.rbegin(), plans.rend(),
                        [&](followed_plan const& p) {
                          return p.iteration <= s.first && p.plan.job.dead.size() == s.dead.size();
                        })
        ->plan;
  }
};

/// Trains through the failures and joins that are asked for, and says so on the way.
template <class Run, class Executor>
run_record run_in_process(Run& run, options const& o, Executor const& executor,
                          std::ostream& out = std::cout) {
  auto const& job = o.training.job;
  progress_bar const bar(o.training.iterations);
  progress_log live(out, o);
  print_no_answer(out, o);
  std::int64_t steps_printed = 0;
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    bar.clear();
    live.iteration(i);
    print_steps(run, live, job, steps_printed, i.iteration);
    bar.draw(i.iteration + 1);
  };
  run_record all;
  on_change_of_pace(run, [&](seen_pace const& c, std::int64_t iteration) {
    bar.clear();
    print_pace(out, job, c, iteration);
    all.paces.push_back({iteration, c});
  });
  if constexpr (has_policy<Run>) {
    run.on_plan = [&](shunt::planned_iteration const& plan, std::int64_t) {
      bar.clear();
      live.same_parts(o.policy, plan.period);
    };
    run.on_change = [&](shunt::rearrangement const& r, shunt::planned_iteration const& plan) {
      bar.clear();
      live.change(o.policy, change_of(r, plan.period));
    };
    live.plan(0, run.plan().period, {});
    all.report = run(executor);
  } else {
    run.on_plan = [&](shunt::planned_iteration const& plan, std::int64_t iteration) {
      bar.clear();
      all.plans.push_back({iteration, plan});
      live.plan(iteration, plan.period, plan.job.dead);
    };
    std::vector<shunt::join> joins;
    for (auto const& j : o.joins) joins.push_back({job.rank_of(j.who), j.iteration});
    all.report = run(executor, joins);
  }
  bar.clear();
  if (all.report.stopped.empty()) print_steps(run, live, job, steps_printed, o.training.iterations);
  return all;
}

/// The plan in force when an iteration begins. Throws invalid_problem, which names `kill`, where
/// the kills before it end the run.
template <class Run>
shunt::planned_iteration plan_at(options const& o, Run& run, std::int64_t iteration,
                                 std::string const& kill) {
  auto const& job = o.training.job;
  if constexpr (has_policy<Run>) {
    std::map<std::int64_t, std::vector<shunt::rank_id>> lost;
    for (auto const& k : o.kills)
      if (k.iteration < iteration) lost[k.iteration].push_back(job.rank_of(k.who));
    std::vector<std::vector<shunt::rank_id>> before;
    for (auto const& [when, ranks] : lost) before.push_back(ranks);
    try {
      return run.plan_after(before);
    } catch (shunt::invalid_problem const& error) {
      throw shunt::invalid_problem(kill,
                                   "comes after the end of the run: " + std::string(error.what()));
    }
  } else {
    std::vector<shunt::rank_id> dead;
    for (auto const w : dead_in(o, iteration, false)) dead.push_back(job.rank_of(w));
    std::sort(dead.begin(), dead.end());
    return run.plan_without(dead);
  }
}

/// Where each kill strikes (those of one worker, where it is named): in the middle of the worker's
/// list under the plan that its iteration begins with, or as asked. Throws invalid_problem where a
/// worker waits then, or a kill ends the run.
template <class Run>
std::vector<shunt::failure_point> failures_of(options const& o, Run& run,
                                              std::optional<shunt::rank_id> only = {}) {
  std::vector<shunt::failure_point> all;
  for (std::size_t i = 0; i < o.kills.size(); ++i) {
    auto const& k = o.kills[i];
    auto const rank = o.training.job.rank_of(k.who);
    bool const wanted = only.value_or(rank) == rank;
    if (!has_policy<Run> && !wanted) continue;
    auto const name = "kill[" + std::to_string(i) + "]";
    auto const plan = plan_at(o, run, k.iteration, name);
    auto const length = static_cast<std::int32_t>(plan.iteration->ranks[rank].instructions.size());
    auto const when = " in iteration " + std::to_string(k.iteration);
    refuse_if(length == 0, name, "worker " + shunt::describe(k.who) + " waits" + when);
    refuse_if(o.kill_at.value_or(0) > length, "kill-at",
              "worker " + shunt::describe(k.who) + " has " + std::to_string(length) +
                  " instructions" + when);
    if (wanted) all.push_back({rank, k.iteration, o.kill_at.value_or(length / 2)});
  }
  return all;
}

/// Throws invalid_problem for another name than those of the rules.
inline shunt::bamboo_rendezvous::rules rendezvous_of(std::string const& name) {
  using rules = shunt::bamboo_rendezvous::rules;
  if (name == "simulator") return rules::simulator;
  if (name == "coordinator") return rules::coordinator;
  throw shunt::invalid_problem("bamboo-rules",
                               quoted_text(name) + " is not simulator or coordinator");
}

/// The policy of this name; `state`: the bytes that move with a stage.
/// Throws invalid_problem for another name than those of the policies.
inline shunt::any_policy policy_of(options const& o, shunt::per_stage state = 1) {
  if (o.policy == shunt::oobleck_policy<>::name) return shunt::oobleck_policy<>{};
  if (o.policy == shunt::best_policy<>::name)
    return shunt::best_policy<>{{.state = std::move(state)}};
  if (o.policy == shunt::drop_policy<>::name) return shunt::drop_policy<>{};
  if (o.policy == shunt::regroup_policy<>::name)
    return shunt::regroup_policy<>{{.every = o.checkpoint_every}};
  if (o.policy == shunt::bamboo_policy<>::name)
    return shunt::bamboo_policy<>{{.rendezvous = {rendezvous_of(o.bamboo_rules)}}};
  throw shunt::invalid_problem("policy",
                               quoted_text(o.policy) +
                                   " is not slipstream, best, oobleck, drop, regroup or bamboo");
}

/// Throws invalid_problem, naming the first option that only re-routing has.
inline void refuse_with_policy(options const& o) {
  bool const best = o.policy == shunt::best_policy<>::name;
  std::pair<bool, char const*> const others[] = {
      {!o.joins.empty(), "--join"},
      {o.salvage, "--salvage"},
      {o.training.validates(), "--clip or --inject-nan"},
      {o.compare_schedules, "--compare-schedules"},
      {!o.split, best ? "--no-split: it splits backwards" : "--no-split: its pipelines run 1F1B"},
      {!o.stagger,
       best ? "--no-stagger: it staggers steps" : "--no-stagger: its pipelines run 1F1B"},
      {o.sweep > 0, "--sweep"},
      {o.cuda(), "--engine cuda"}};
  for (auto const& [there, option] : others)
    refuse_if(there, "policy", o.policy + " can't be together with " + option);
}

/// Returns `f(run, failures)` for the run that is asked for.
template <class Work, class F>
auto with_run(options const& o, Work& work, std::optional<shunt::rank_id> only, F const& f) {
  if (o.policy != "slipstream") {
    shunt::pipeline_run run(work, policy_of(o, work.tensors().state));
    watch_slow(run, o);
    return f(run, failures_of(o, run, only));
  }
  shunt::pipeline_run run(work, shunt::slipstream{.split = o.split, .stagger = o.stagger});
  if (o.salvage) run.salvage();
  watch_slow(run, o);
  return f(run, failures_of(o, run, only));
}

}  // namespace example
