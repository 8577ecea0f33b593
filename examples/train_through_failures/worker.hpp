#pragma once
/// One worker as a process of its own, over Gloo: trains through whatever happens to the others,
/// and says how it goes.
#include <bit>
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
#include "messages.hpp"
#include "options.hpp"
#include "parameters.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "text.hpp"
#include "worker_address.hpp"

namespace example {

/// Trains as one worker. What goes wrong is the last line it says, and thrown.
inline shunt::recovery_report work_as(worker_address const& at, options const& o,
                                      report_pipe const& say) try {
  std::signal(SIGPIPE, SIG_IGN);
  auto training = o.training;
  training.only = at.self;
  auto const bytes = load_text(o.text);
  auto const& job = training.job;
  language_work work(training, bytes);
  shunt::pipeline_run run(work, shunt::slipstream{.split = o.split, .stagger = o.stagger});
  if (o.salvage) run.salvage();
  run.on_plan = [&](shunt::planned_iteration const& plan, std::int64_t iteration) {
    std::vector<std::int64_t> numbers{iteration, plan.period,
                                      static_cast<std::int64_t>(plan.job.dead.size())};
    for (auto const& w : plan.job.dead) numbers.push_back(job.rank_of(w).value());
    say(report_kind::plan, numbers);
  };
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    say(report_kind::iteration,
        {i.iteration, std::bit_cast<std::int64_t>(i.loss), i.live, i.planned, i.took.value_or(-1)});
  };

  shunt::recovery plan{.end = training.iterations};
  for (auto const& w : job.dead) plan.dead.push_back(job.rank_of(w));
  for (auto const& j : o.joins) plan.joins.push_back({job.rank_of(j.who), j.iteration});
  auto const failures = failures_of(o, run, at.self);
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

  for (auto const& l : report.losses) say(report_kind::loss, numbers_of(l));
  for (auto const& j : report.joined) say(report_kind::joined, {j.rank.value(), j.iteration});
  if (training.validates())
    for (std::int64_t i = 0; i < report.end; ++i)
      if (auto const& s = run.work().step_of(at.self, i); s.left_out || s.clipped)
        say(report_kind::step,
            {i, std::bit_cast<std::int64_t>(s.norm), s.left_out, s.clipped, s.taken_back});
  if (auto const overflow = run.work().overflow_of(at.self))
    say(report_kind::overflow, {*overflow});
  if (!report.stopped.empty()) say(report_kind::stopped, {}, reason_to_stop(report, job));
  say(report_kind::end,
      {report.end, static_cast<std::int64_t>(hash_of(run.work().parameters(at.self))),
       static_cast<std::int64_t>(run.work().computing_share() * 1e6)});
  return report;
} catch (std::exception const& error) {
  report_and_rethrow(say, error);
}

}  // namespace example
