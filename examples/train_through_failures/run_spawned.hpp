#pragma once
/// A run whose workers are processes that this program starts, watches, kills where asked to, and
/// clears away.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "comparison.hpp"
#include "engines.hpp"
#include "options.hpp"
#include "report_merger.hpp"
#include "spawned_workers.hpp"
#include "text.hpp"

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace example {

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
[[nodiscard]] inline std::optional<shunt::stage_id> stage_alone(
    shunt::pipeline_job job, spawned_workers<report_merger> const& workers,
    report_merger const& merger) {
  job.dead.clear();
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    if (!workers.running(r) && !merger.ended(r)) job.dead.push_back(job.worker_of(r));
  return stage_without_worker(job);
}

/// Trains with worker processes. Throws runtime_error, with what the first of them said, where none
/// comes to an end; run_interrupted.
[[nodiscard]] inline spawned_run train_with_spawned(options const& o,
                                                    command_line const& started_as,
                                                    text_bytes const& bytes, progress_log* live,
                                                    std::vector<timed_kill> const& kills = {}) {
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  report_merger merger(o, live);
  spawned_workers workers(o.process, started_as, bytes, merger, [&](shunt::rank_id r) {
    return "worker " + shunt::describe(job.worker_of(r));
  });
  auto const start = [&](shunt::worker who, bool joins) {
    auto const process = workers.start(job.rank_of(who), joins ? std::vector<std::string>{"--joins"}
                                                               : std::vector<std::string>{});
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
  if (all.result.hashes.empty())
    throw std::runtime_error(merger.error().or_else("no worker is left"));
  return all;
}

}  // namespace example
