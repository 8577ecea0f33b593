#pragma once
/// A run whose workers are processes that this program starts, watches, kills where asked to, and
/// clears away.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "account.hpp"
#include "engines.hpp"
#include "options.hpp"
#include "own_processes.hpp"
#include "text.hpp"
#include "verdict.hpp"

namespace example {

/// SIGKILL for a worker's process, some time after an iteration has begun somewhere.
struct timed_kill {
  shunt::worker who{};
  std::int64_t iteration = 0;
  std::chrono::microseconds after{0};
};

struct crew_run {
  trained result{};
  int landed = 0;  ///< timed kills that struck a process before it had ended
};

/// Trains with worker processes. Throws runtime_error, with what the first of them said, where none
/// comes to an end; interrupted.
[[nodiscard]] inline crew_run train_with_crew(options const& o, command_line const& started_as,
                                              text_bytes const& bytes, diary* live,
                                              std::vector<timed_kill> const& kills = {}) {
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  account heard(o, live);
  own_processes workers(o.meet, started_as, bytes, heard, [&](shunt::rank_id r) {
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

  crew_run all;
  std::vector<clock::time_point> due(kills.size());
  std::vector<bool> struck(kills.size()), joined(o.joins.size());
  workers.watch([&] {
    auto wait = workers.longest_wait;
    auto const now = clock::now();
    for (std::size_t k = 0; k < kills.size(); ++k) {
      if (struck[k] || heard.begun() < kills[k].iteration) continue;
      if (due[k] == clock::time_point{}) due[k] = now + kills[k].after;
      auto const left = std::chrono::duration_cast<std::chrono::microseconds>(due[k] - now);
      if (left.count() > 0) {
        wait = std::min(wait, left);
        continue;
      }
      struck[k] = true;
      auto const r = job.rank_of(kills[k].who);
      if (!workers.lives(r) || heard.ended(r)) continue;
      workers.kill(r);
      ++all.landed;
    }
    for (std::size_t j = 0; j < o.joins.size();
         ++j) {  // a new process in time to be there when it is asked to come
      if (joined[j] || heard.begun() + 1 < o.joins[j].iteration ||
          workers.lives(job.rank_of(o.joins[j].who)))
        continue;
      joined[j] = true;
      start(o.joins[j].who, true);
    }
    return wait;
  });
  all.result = heard.result();
  if (all.result.hashes.empty())
    throw std::runtime_error(heard.error().empty() ? "no worker is left" : heard.error());
  return all;
}

}  // namespace example
