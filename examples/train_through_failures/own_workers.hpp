#pragma once
/// A run whose workers are processes that this program starts, watches, kills where asked to, and clears away.
#include <sys/wait.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "account.hpp"
#include "crew.hpp"
#include "engines.hpp"
#include "options.hpp"
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

/// Trains with worker processes. Throws runtime_error, with what the first of them said, where none comes to an end; interrupted.
[[nodiscard]] inline crew_run train_with_crew(options const& o, command_line const& started_as, text_bytes const& bytes, diary* live,
                                              std::vector<timed_kill> const& kills = {}) {
  using clock = std::chrono::steady_clock;
  auto const& job = o.training.job;
  meeting_place const place(o.rendezvous);
  auto const text = place.path() + "/text";  // the same for all, whatever becomes of the file
  if (std::ofstream out(text, std::ios::binary);
      !out.write(reinterpret_cast<char const*>(bytes.data()), static_cast<std::streamsize>(bytes.size())).flush())
    throw shunt::invalid_problem("rendezvous", "cannot write to " + place.path());

  crew workers(started_as);
  account heard(o, live);
  std::map<shunt::rank_id, std::size_t> latest;  // a rank's process, by number
  auto const start = [&](shunt::worker who, bool joins) {
    auto const r = job.rank_of(who);
    std::vector<std::string> more{"--as-worker", std::to_string(r.value()), "--meet", place.path(), "--worker-text", text};
    if (joins) more.emplace_back("--joins");
    latest[r] = workers.members().size();
    auto const process = workers.start(r, more);
    if (live) std::cout << "worker " << shunt::describe(who) << " is process " << process << (joins ? " from now on" : "") << std::endl;
  };
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks())) start(job.worker_of(r), false);

  crew_run all;
  std::vector<clock::time_point> due(kills.size());
  std::vector<bool> struck(kills.size()), joined(o.joins.size());
  auto const nanoseconds = [] { return std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now().time_since_epoch()).count(); };
  auto const strike = [&](std::size_t n) {
    heard.killed(workers.members()[n].rank, nanoseconds());
    workers.kill(n);
  };
  std::optional<clock::time_point> ending;  // when those that have not ended by then are nobody's any more
  auto const hear = [&](std::size_t n, message const& m) {
    auto const rank = workers.members()[n].rank;
    heard.hear(rank, m);
    if (m.what == says::strike) strike(n);
    if (m.what == says::error && heard.begun() == 0) throw std::runtime_error("worker " + shunt::describe(job.worker_of(rank)) + ": " + m.text);
    if (m.what == says::end && !ending) ending = clock::now() + o.patience;
  };
  auto const gone = [&](std::size_t n) {
    auto const& m = workers.members()[n];
    if (heard.begun() > 0 || heard.ended(m.rank) || m.killed) return;
    throw std::runtime_error("worker " + shunt::describe(job.worker_of(m.rank)) + " ended before training had begun" +
                             (WIFSIGNALED(*m.status) ? ", by signal " + std::to_string(WTERMSIG(*m.status)) : ""));
  };
  for (;;) {
    auto wait = std::chrono::microseconds(200'000);
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
      auto const n = latest.at(job.rank_of(kills[k].who));
      if (!workers.members()[n].lives() || heard.ended(workers.members()[n].rank)) continue;
      strike(n);
      ++all.landed;
    }
    for (std::size_t j = 0; j < o.joins.size(); ++j) {  // a new process in time to be there when it is asked to come
      if (joined[j] || heard.begun() + 1 < o.joins[j].iteration || workers.members()[latest.at(job.rank_of(o.joins[j].who))].lives()) continue;
      joined[j] = true;
      start(o.joins[j].who, true);
    }
    if (ending && clock::now() > *ending)
      for (std::size_t n = 0; n < workers.members().size(); ++n) workers.kill(n);
    if (!workers.listen(wait, hear, gone)) break;
  }
  all.result = heard.result();
  if (all.result.hashes.empty()) throw std::runtime_error(heard.error().empty() ? "no worker is left" : heard.error());
  return all;
}

}  // namespace example
