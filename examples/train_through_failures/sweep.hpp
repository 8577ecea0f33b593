#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "compare_schedules.hpp"
#include "comparison.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "run_spawned.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/launch/interrupt_guard.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "text.hpp"

namespace example {

/// Every worker alone, then every pair without which each stage still has a live worker, then from
/// the start again.
[[nodiscard]] inline std::vector<std::vector<shunt::worker>> victims_of(shunt::pipeline_job job) {
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
[[nodiscard]] inline std::vector<timed_kill> moments_for(std::vector<shunt::worker> const& victims,
                                                         std::int64_t iterations,
                                                         std::uint64_t seed) {
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

/// Many runs, in each of which other workers are killed at other moments; the exit status.
[[nodiscard]] inline int sweep(options const& o, command_line const& started_as,
                               text_bytes const& bytes) {
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  auto const expected = expected_of(train_undisturbed(o.training, bytes));
  auto const victims = victims_of(job);
  if (victims.empty())
    throw shunt::invalid_problem("sweep", "no worker can be killed: every stage has one alone");
  int finished = 0, identical = 0, landed = 0, recoveries = 0;
  std::vector<double> detect, back;
  auto const begun = clock::now();
  for (int n = 0; n < o.sweep; ++n) {
    auto const& who = victims[static_cast<std::size_t>(n) % victims.size()];
    auto const kills = moments_for(who, o.training.iterations,
                                   o.training.seed * 1'000'003 + static_cast<std::uint64_t>(n));
    std::string line = "run " + std::to_string(n) + ":";
    for (auto const& k : kills)
      line +=
          format(" %s in iteration %lld + %.1f ms", describe(job, {job.rank_of(k.who)}).c_str(),
                 static_cast<long long>(k.iteration), static_cast<double>(k.after.count()) * 1e-3);
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
  auto const largest = [](std::vector<double> const& v) {
    return v.empty() ? 0 : *std::max_element(v.begin(), v.end());
  };
  auto const middle = [](std::vector<double> const& v) { return v.empty() ? 0 : median(v); };
  std::cout << format("sweep: %d runs of %d workers, %d finished, %d identical; %d kills, %d "
                      "recoveries: detect %.1f ms (most %.1f), agree + restore + "
                      "re-plan + rebuild %.1f ms (most %.1f); %.0f s\n",
                      o.sweep, job.ranks(), finished, identical, landed, recoveries, middle(detect),
                      largest(detect), middle(back), largest(back),
                      std::chrono::duration<double>(clock::now() - begun).count());
  return identical == o.sweep ? 0 : 1;
}

}  // namespace example
