#pragma once
/// --solver bamboo: 1F1B with redundant forwards or, with dead workers, what their shadows do.
/// --policy: what a system runs after the losses of --dead.
/// --layers: which layers form a stage, with the plan of the stages.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "solvers.hpp"

namespace plan_pipeline {

using namespace example;

/// What Bamboo makes of a job, besides a plan.
struct bamboo_plan {
  shunt::ticks makespan_without = 0;  ///< of 1F1B, no worker dead
  std::optional<shunt::redundant_schedule> redundant{};
  std::optional<shunt::shadow_takeover> takeover{};
  std::int64_t failed_at = 0;

  /// Returns the share of the period in which ranks neither compute, redundantly or not, nor step.
  double bubble(shunt::redundant_timetable const& table, shunt::ticks period) const {
    double busy = 0;
    for (auto const* times : {&table.plain.times, &table.redundant})
      for (auto const& list : *times)
        for (auto const& [start, end] : list) busy += static_cast<double>(end - start);
    return 1 - busy / (static_cast<double>(period) * static_cast<double>(table.redundant.size()));
  }
};

/// Plans a job and sets `bamboo`. After a takeover the job is that of the live ranks.
inline shunt::solution<shunt::pipeline_schedule> plan_bamboo(shunt::pipeline_job& job,
                                                             std::int64_t failed_at,
                                                             bamboo_plan& bamboo) {
  auto whole = job;
  whole.dead.clear();
  auto const without = shunt::solve(whole, shunt::one_f_one_b{});
  if (without.has_plan()) bamboo.makespan_without = shunt::makespan(whole, without.plan);
  bamboo.failed_at = failed_at;
  auto const as_schedule = [](auto const& answer, shunt::pipeline_schedule plan) {
    return shunt::solution<shunt::pipeline_schedule>{.plan = std::move(plan),
                                                     .status = answer.status,
                                                     .objective = answer.objective,
                                                     .lower_bound = answer.lower_bound,
                                                     .reason = answer.reason};
  };
  if (job.dead.empty()) {
    auto answer = shunt::solve(job, shunt::redundant_forward{});
    bamboo.redundant = answer.plan;
    return as_schedule(answer, std::move(answer.plan.plain));
  }
  auto answer = shunt::solve(job, shunt::shadow_failover{.lockstep = failed_at});
  if (!answer.has_plan()) return as_schedule(answer, {});
  bamboo.takeover = std::move(answer.plan);
  job = bamboo.takeover->job;
  return as_schedule(answer, bamboo.takeover->schedule);
}

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

inline constexpr std::array policies{policy{shunt::slipstream::name, shunt::slipstream::name},
                                     policy{shunt::best_policy<>::name, shunt::loss_planner::name},
                                     policy{bamboo_name, bamboo_name},
                                     rearranging<shunt::oobleck_policy<>>,
                                     rearranging<shunt::drop_policy<>>,
                                     rearranging<shunt::regroup_policy<>>};

/// The policy of --policy, and the solver: the one of --solver where the policy leaves the choice.
/// Throws invalid_problem where it doesn't.
inline policy const& policy_named(std::string_view name, bool has_solver, std::string& solver) {
  auto const& found = named(policies, name);
  if (!has_solver) solver = found.solver;
  refuse_if((found.next == nullptr || solver == bamboo_name) && solver != found.solver, "--solver",
            solver + " can't be together with --policy " + std::string(name));
  return found;
}

/// Which ranks of the start go on, and what they get first.
struct continuation {
  std::vector<shunt::rank_id> members{};  ///< `members[r]`: the rank that is r in the new job
  std::vector<shunt::rank_id> waiting{};
  std::vector<shunt::layer_copy> copies{};  ///< of stages
  std::vector<shunt::priced_move> moves{};  ///< of --policy best
};

/// Plans what --policy best makes of a job, replaces it by the next one, and sets `to`. `normal`
/// are the costs without slow workers.
inline shunt::solution<shunt::pipeline_schedule> plan_best(shunt::pipeline_job& job,
                                                           std::optional<shunt::stage_costs> normal,
                                                           continuation& to) {
  auto answer =
      shunt::solve(shunt::worker_losses{.job = job, .state = 1, .normal = std::move(normal)},
                   shunt::loss_planner{});
  shunt::solution<shunt::pipeline_schedule> found{.plan = {},
                                                  .status = answer.status,
                                                  .objective = answer.objective,
                                                  .lower_bound = answer.lower_bound,
                                                  .reason = answer.reason};
  to.moves = answer.plan.moves;
  if (!answer.has_plan()) return found;
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    if (job.alive(r) && std::find(answer.plan.members.begin(), answer.plan.members.end(), r) ==
                            answer.plan.members.end())
      to.waiting.push_back(r);
  to.members = std::move(answer.plan.members);
  to.copies = std::move(answer.plan.copies);
  job = std::move(answer.plan.job);
  found.plan = std::move(answer.plan.schedule);
  return found;
}

/// Replaces a job by the one that its live ranks go on with, and sets `to`. Returns why there is
/// none.
inline shunt::text go_on(shunt::pipeline_job& job, policy const& by, continuation& to) {
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

/// What the layers of --layers become.
struct layer_plan {
  shunt::layer_job job{};
  std::vector<shunt::layer_range> stages{};
};

/// Returns the problem of a file and the options. Throws invalid_problem, which names them.
inline shunt::layer_job layer_problem(std::string const& file, std::int32_t ranks,
                                      shunt::pipeline_job const& options, std::string const& memory,
                                      shunt::time_unit unit) {
  refuse_if(options.microbatches.size() > 1, "--microbatches", "is one value with --layers");
  refuse_if(options.transfer.within_node != options.transfer.between_nodes ||
                options.transfer.ranks_per_node != 0,
            "--ranks-per-node", "can't be together with --layers");
  shunt::layer_job job{.layers = shunt::read_layer_csv_file(file, unit),
                       .ranks = ranks,
                       .microbatches = options.microbatches[0],
                       .pipelines = options.pipelines,
                       .transfer = options.transfer.within_node};
  if (memory != "none") job.memory = parse_size("--memory", memory, 1);
  return job;
}

/// Returns the bytes of the states of a rank's layers.
inline shunt::byte_count state_bytes(layer_plan const& plan, shunt::pipeline_job const& made,
                                     shunt::rank_id rank) {
  shunt::byte_count bytes = 0;
  for (shunt::worker const held : made.workers_of(rank)) {
    auto const [first, end] = plan.stages[held.stage.index()];
    for (std::int32_t l = first; l < end; ++l)
      bytes += plan.job.layers[static_cast<std::size_t>(l)].state_bytes;
  }
  return bytes;
}

/// Writes a line a stage: its rank in the pipeline, its layers and its ticks.
inline void write_stages(std::ostream& out, layer_plan const& plan,
                         shunt::pipeline_job const& made) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    auto const [first, end] = plan.stages[s];
    auto const at = static_cast<std::int32_t>(s);
    auto const name = [&](std::int32_t l) {
      auto const& own = plan.job.layers[static_cast<std::size_t>(l)].name;
      return own.empty() ? std::to_string(l) : own;
    };
    out << "stage " << s << " on rank " << made.rank_of({0, at}).value() << ": layers " << first
        << ".." << end - 1 << " (" << name(first);
    if (end - first > 1) out << " .. " << name(end - 1);
    out << "), " << made.costs.microbatch(at) << " ticks a micro-batch\n";
  }
}

inline constexpr std::array options_of_layers = std::to_array<option_of_field>({
    {"layers", "--layers"},
    {"ranks", "--ranks"},
    {"pipelines", "--pipelines"},
    {"microbatches", "--microbatches"},
    {"transfer", "--comm"},
    {"memory", "--memory"},
});

}  // namespace plan_pipeline
