#pragma once
/// One worker as a process of its own, over Gloo: trains through whatever happens to the others,
/// and says how it goes.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "failure_points.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "parameters.hpp"
#include "policies.hpp"
#include "run_in_process.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/launch/report_line.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/policy_run.hpp"
#include "text.hpp"
#include "worker_reports.hpp"

namespace example {

/// What a worker says while it trains.
template <class Run>
void report_progress(Run& run, shunt::report_sink const& say) {
  using shunt::report_line;
  if constexpr (has_policy<Run>) {
    say(report_line("plan")
            .with("iteration", 0)
            .with("period", run.plan().period)
            .with("dead", std::vector<shunt::rank_id>{}));
    run.on_change = [&](shunt::rearrangement const& r, shunt::planned_iteration const& plan) {
      auto const c = change_of(r, plan.period);
      say(report_line("change")
              .with("iteration", c.iteration)
              .with("period", c.period)
              .with("dead", c.dead)
              .with("workers", c.workers)
              .with("microbatches", c.microbatches)
              .with("waiting", c.waiting)
              .with("copies", c.copies)
              .with("bytes", c.bytes)
              .with("redone", c.redone));
    };
  } else {
    run.on_plan = [&](shunt::planned_iteration const& plan, std::int64_t iteration) {
      std::vector<shunt::rank_id> dead;
      for (auto const& w : plan.job.dead) dead.push_back(plan.job.rank_of(w));
      say(report_line("plan")
              .with("iteration", iteration)
              .with("period", plan.period)
              .with("dead", dead));
    };
  }
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    report_line line("iteration");
    line.with("iteration", i.iteration).with("loss", i.loss).with("live", i.live);
    line.with("planned", i.planned);
    if (i.took) line.with("took", *i.took);
    say(line);
  };
}

/// Trains as one worker, and says what it came to.
template <class Run>
shunt::recovery_report train_as(worker_address const& at, options const& o,
                                shunt::report_sink const& say, Run& run,
                                std::vector<shunt::failure_point> const& failures) {
  using shunt::report_line;
  auto const& training = run.work().training();
  auto const& job = training.job;
  report_progress(run, say);
  shunt::recovery plan{.end = training.iterations};
  for (auto const& w : job.dead) plan.dead.push_back(job.rank_of(w));
  for (auto const& j : o.joins) plan.joins.push_back({job.rank_of(j.who), j.iteration});
  auto const dies = [&] { kill_self(at, say); };
  auto const executor = [&]() -> shunt::gloo_executor {
    if (!at.joins) return {at.gloo, job.ranks(), at.self, failures, dies};
    // A launcher may start it long before it is asked: for so many iterations as take the time for
    // which the others would wait for it, and then some.
    auto const asked = shunt::await_join_request(at.gloo, at.self, 20 * at.gloo.patience);
    plan.first = asked.iteration;
    plan.dead = asked.dead;
    return {at.gloo, job.ranks(), at.self, asked, failures, dies};
  }();
  auto const report = run(executor, std::move(plan));

  for (auto const& l : report.losses) say(report_of(l));
  for (auto const& j : report.joined)
    say(report_line("joined").with("rank", j.rank.value()).with("iteration", j.iteration));
  if (training.validates())
    for (std::int64_t i = 0; i < report.end; ++i)
      if (auto const& s = run.work().step_of(at.self, i); s.left_out || s.clipped)
        say(report_line("step")
                .with("iteration", i)
                .with("norm", s.norm)
                .with("left_out", s.left_out)
                .with("clipped", s.clipped)
                .with("taken_back", s.taken_back));
  if (auto const overflow = run.work().overflow_of(at.self))
    say(report_line("overflow").with("iteration", *overflow));
  if (!report.stopped.empty()) say(report_line("stopped").with("why", reason_to_stop(o, report)));
  auto const stages = run.work().held_by(at.self);
  std::vector<std::uint64_t> hashes;
  for (auto const s : stages) hashes.push_back(hash_of(run.work().parameters(at.self, s)));
  say(report_line("end")
          .with("iterations", report.end)
          .with("stages", stages)
          .with("hashes", hashes)
          .with("computing_share", run.work().computing_share()));
  return report;
}

/// Trains as one worker. What goes wrong is the last line it says, and thrown.
inline shunt::recovery_report work_as(worker_address const& at, options const& o,
                                      shunt::report_sink const& say) try {
  std::signal(SIGPIPE, SIG_IGN);
  auto training = o.training;
  training.only = at.self;
  auto const bytes = load_text(o.text);
  language_work work(training, bytes);
  if (o.policy != "slipstream") {
    shunt::pipeline_run run(work, policy_of(o));
    return train_as(at, o, say, run, failures_under_policy(o, run, at.self));
  }
  shunt::pipeline_run run(work, shunt::slipstream{.split = o.split, .stagger = o.stagger});
  if (o.salvage) run.salvage();
  return train_as(at, o, say, run, failures_of(o, run, at.self));
} catch (std::exception const& error) {
  report_and_rethrow(say, error);
}

}  // namespace example
