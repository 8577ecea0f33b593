#pragma once
/// A run in this process, as it is watched: what is said while it goes on, and what it came to.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "comparison.hpp"
#include "options.hpp"
#include "parameters.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/planned_iteration.hpp"

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
[[nodiscard]] std::vector<shunt::stage_id> stages_of(Work& work, shunt::rank_id r) {
  if constexpr (requires { work.held_by(r); })
    return work.held_by(r);
  else
    return work.training().job.stages_of(r);
}

/// What a run came to.
template <class Run>
[[nodiscard]] trained result_of(Run& run, shunt::recovery_report const& report, options const& o) {
  auto const& job = o.training.job;
  trained all{.iterations = run.iterations(),
              .losses = report.losses,
              .stopped = reason_to_stop(o, report),
              .computing_share = run.work().computing_share(),
              .overflow = run.work().first_overflow()};
  for (shunt::rank_id const r : shunt::ids<shunt::rank_id>(job.ranks()))
    if (!std::binary_search(report.dead.begin(), report.dead.end(), r))
      for (shunt::stage_id const s : stages_of(run.work(), r))
        all.hashes[r][s] = hash_of(run.work().parameters(r, s));
  return all;
}

/// Trains through the failures and joins that are asked for, and says so on the way.
template <class Run, class Executor>
shunt::recovery_report run_in_process(Run& run, options const& o, Executor const& executor,
                                      std::ostream& out = std::cout) {
  auto const& job = o.training.job;
  progress_bar const bar(o.training.iterations);
  progress_log live(out, o);
  std::int64_t steps_printed = 0;
  run.on_plan = [&](shunt::planned_iteration const& plan, std::int64_t iteration) {
    bar.clear();
    live.plan(iteration, plan.period, plan.job.dead);
  };
  run.on_iteration = [&](shunt::trained_iteration const& i) {
    bar.clear();
    live.iteration(i);
    print_steps(run, live, job, steps_printed, i.iteration);
    bar.draw(i.iteration + 1);
  };
  std::vector<shunt::join> joins;
  for (auto const& j : o.joins) joins.push_back({job.rank_of(j.who), j.iteration});
  auto const report = run(executor, joins);
  bar.clear();
  if (report.stopped.empty()) print_steps(run, live, job, steps_printed, o.training.iterations);
  return report;
}

}  // namespace example
