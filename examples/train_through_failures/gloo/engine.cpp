// --engine gloo, where there is Gloo: workers are processes that this program starts, watches,
// kills where asked to, and clears away, or those of somebody else's launcher.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../engines.hpp"
#include "shunt/launch.hpp"
#include "shunt/shunt.hpp"
#include "worker.hpp"

namespace example {
namespace {

/// SIGKILL for a worker's process, some time after an iteration has begun somewhere.
struct timed_kill {
  shunt::worker who{};
  std::int64_t iteration = 0;
  std::chrono::microseconds after{0};
};

struct spawned_run {
  trained result{};
  int landed = 0;  ///< timed kills that struck a process before it had ended
};

/// The first stage whose processes have all ended before the end of training.
std::optional<shunt::stage_id> stage_alone(shunt::pipeline_job job,
                                           shunt::supervised_workers<report_merger> const& workers,
                                           report_merger const& merger) {
  job.dead.clear();
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    if (!workers.running(r) && !merger.ended(r)) job.dead.push_back(job.worker_of(r));
  return stage_without_worker(job);
}

/// Trains with worker processes. Throws what report_merger::result throws; run_interrupted.
spawned_run train_with_spawned(options const& o, command_line const& started_as,
                               text_bytes const& bytes, progress_log* live,
                               std::vector<timed_kill> const& kills = {}) {
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  report_merger merger(o, live);
  own_place const place(o.process, bytes);
  shunt::supervised_workers workers(shunt::worker_processes::this_program, started_as, merger,
                                    place.watched([&](shunt::rank_id r) -> std::string {
                                      return "worker " + shunt::describe(job.worker_of(r));
                                    }));
  auto const start = [&](shunt::worker who, bool joins) {
    auto const r = job.rank_of(who);
    auto const process = workers.start(r, joins ? place.order(r, {"--joins"}) : place.order(r));
    if (live)
      std::cout << "worker " << shunt::describe(who) << " is process " << process
                << (joins ? " from now on" : "") << std::endl;
  };
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    start(job.worker_of(r), false);

  spawned_run all;
  std::vector<clock::time_point> due(kills.size());
  std::vector<bool> kill_sent(kills.size()), joined(o.joins.size());
  std::optional<shunt::stage_id> alone;  // once there is a stage without a live worker
  auto const between = [&] {
    auto wait = workers.longest_wait;
    auto const now = clock::now();
    for (std::size_t k = 0; k < kills.size(); ++k) {
      if (kill_sent[k] || merger.begun() < kills[k].iteration) continue;
      if (due[k] == clock::time_point{}) due[k] = now + kills[k].after;
      auto const left = std::chrono::duration_cast<std::chrono::microseconds>(due[k] - now);
      if (left.count() > 0) {
        wait = std::min(wait, left);
        continue;
      }
      kill_sent[k] = true;
      auto const r = job.rank_of(kills[k].who);
      if (!workers.running(r) || merger.ended(r)) continue;
      workers.kill(r);
      ++all.landed;
    }
    for (std::size_t j = 0; j < o.joins.size();
         ++j) {  // a new process in time to be there when it is asked to come
      if (joined[j] || merger.begun() + 1 < o.joins[j].iteration ||
          workers.running(job.rank_of(o.joins[j].who)))
        continue;
      joined[j] = true;
      start(o.joins[j].who, true);
    }
    if (live && !alone && o.policy == "slipstream" && (alone = stage_alone(job, workers, merger)))
      std::cout << "stage " << alone->value() << " has no live worker: training stops" << std::endl;
    return wait;
  };
  workers.watch(between, [&](shunt::rank_id r) {
    for (std::size_t j = 0; j < o.joins.size(); ++j)
      if (!joined[j] && job.rank_of(o.joins[j].who) == r) return true;
    return false;
  });
  all.result = merger.result();
  return all;
}

/// Trains as the worker that a launcher made this process; the exit status. The lowest worker of
/// the last stage that is left speaks for all.
int train_launched(shunt::launched_process const& as, options const& o) {
  auto const& job = o.training.job;
  as.require_size(job.ranks(), std::to_string(job.pipelines) + " pipelines of " +
                                   std::to_string(job.stages) + " stages need " +
                                   std::to_string(job.ranks()));
  auto const bytes = load_text(o.text);
  trained result;
  {
    launched const here(as, o.process, launched_to_join());
    auto const report =
        here.worker([&](shunt::report_sink const& say) { return work_as(here.at, o, say); });
    // One that knows the losses; under a policy who knows them may change, and any one does.
    bool const reroutes = o.policy == "slipstream";
    if (!here.worker.speaks(report.dead, reroutes ? job.stages - 1 : 0,
                            reroutes ? job.stages : 1)) {
      if (!report.stopped.empty()) std::cerr << "stopped: " << reason_to_stop(o, report) << "\n";
      return report.stopped.empty() ? 0 : 1;
    }
    progress_log live(std::cout, o);
    print_no_answer(std::cout, o);
    report_merger merger(o, &live);
    here.read(job.ranks(), report.dead, merger);
    result = merger.result();
  }
  print_periods(std::cout, o, result);
  return conclude(std::cout, result, o.training,
                  [&] { return train_undisturbed(o.training, bytes); });
}

/// Every worker alone, then every pair without which each stage still has a live worker, then from
/// the start again.
std::vector<std::vector<shunt::worker>> victims_of(shunt::pipeline_job job) {
  std::vector<std::vector<shunt::worker>> all;
  auto const add = [&](std::vector<shunt::worker> dead) {
    job.dead = std::move(dead);
    if (!stage_without_worker(job)) all.push_back(job.dead);
  };
  auto const ranks = shunt::ids<shunt::rank_id>(job.ranks());
  for (auto const a : ranks) add({job.worker_of(a)});
  for (auto const a : ranks)
    for (auto const b : ranks)
      if (a < b) add({job.worker_of(a), job.worker_of(b)});
  return all;
}

/// When to kill them: some time into any iteration but the last few; of a pair the second as often
/// as not while the others recover from the loss of the first.
std::vector<timed_kill> moments_for(std::vector<shunt::worker> const& victims,
                                    std::int64_t iterations, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto const below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  std::vector<timed_kill> all;
  for (auto const who : victims)
    all.push_back({who, 1 + below(std::max<std::int64_t>(1, iterations - 5)),
                   std::chrono::microseconds(below(30'000))});
  if (all.size() == 2 && below(2) == 1) {
    all[1].iteration = all[0].iteration;
    all[1].after = all[0].after + std::chrono::microseconds(below(300'000));
  }
  return all;
}

}  // namespace

int train_with_processes(options const& o, command_line const& started_as) {
  if (o.process.workers == 0)
    if (auto const as = shunt::launched_process_of_environment()) return train_launched(*as, o);
  auto const bytes = load_text(o.text);
  progress_log live(std::cout, o);
  print_no_answer(std::cout, o);
  auto const run = train_with_spawned(o, started_as, bytes, &live);
  print_periods(std::cout, o, run.result);
  return conclude(std::cout, run.result, o.training,
                  [&] { return train_undisturbed(o.training, bytes); });
}

int sweep_with_processes(options const& o, command_line const& started_as) {
  auto const bytes = load_text(o.text);
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  auto const expected = train_undisturbed(o.training, bytes);
  auto const victims = victims_of(job);
  refuse_if(victims.empty(), "sweep", "no worker can be killed: every stage has one alone");
  int finished = 0, identical = 0, landed = 0, recoveries = 0;
  std::vector<double> detect, back;
  auto const begun = clock::now();
  for (int n = 0; n < o.sweep; ++n) {
    auto const& who = victims[static_cast<std::size_t>(n) % victims.size()];
    auto const kills = moments_for(who, o.training.iterations,
                                   o.training.seed * 1'000'003 + static_cast<std::uint64_t>(n));
    std::string line = "run " + std::to_string(n) + ":";
    for (auto const& k : kills)
      line += format(" %s in iteration %lld + %.1f ms", describe(job, {job.rank_of(k.who)}),
                     k.iteration, static_cast<double>(k.after.count()) * 1e-3);
    try {
      auto const run = train_with_spawned(o, started_as, bytes, nullptr, kills);
      landed += run.landed;
      finished += run.result.stopped.empty();
      auto const what = difference(run.result, expected, job);
      identical += !what;
      for (auto const& l : run.result.losses) {
        if (l.ranks.empty()) continue;
        ++recoveries;
        detect.push_back(static_cast<double>(l.detect) * 1e-6);
        back.push_back(static_cast<double>(l.agree + l.restore + l.replan + l.rebuild) * 1e-6);
        line += format("; detect %.1f ms, %.1f ms to go on", detect.back(), back.back());
      }
      line += what ? "; " + *what : "; identical";
    } catch (shunt::run_interrupted const&) {
      throw;
    } catch (std::exception const& error) {
      line += "; " + std::string(error.what());
    }
    std::cout << line << std::endl;
  }
  shunt::spread const detected(detect), recovered(back);
  std::cout << format("sweep: %d runs of %d workers, %d finished, %d identical; %d kills, %d "
                      "recoveries: detect %.1f ms (most %.1f), agree + restore + "
                      "re-plan + rebuild %.1f ms (most %.1f); %.0f s\n",
                      o.sweep, job.ranks(), finished, identical, landed, recoveries,
                      detected.median, detected.most, recovered.median, recovered.most,
                      std::chrono::duration<double>(clock::now() - begun).count());
  return identical == o.sweep ? 0 : 1;
}

int work_for_others(options const& o, worker_order const& order) {
  auto own = o;
  own.text = order.text;
  return work_for_starter([&](shunt::report_sink const& say) {
    work_as({.gloo = o.process.gloo(order.place),
             .self = order.rank,
             .joins = order.joins,
             .waits = true},
            own, say);
  });
}

}  // namespace example
