#pragma once
/// What a run came to, whichever engine ran it, and whether it is what an undisturbed run comes to.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "language_training.hpp"
#include "options.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"

namespace example {

/// Of nanoseconds.
inline double milliseconds(shunt::ticks t) { return static_cast<double>(t) * 1e-6; }

/// A run through failures.
struct trained {
  std::vector<shunt::trained_iteration> iterations{};
  std::vector<shunt::loss> losses{};
  /// Of the parameters of each stage on each rank that is alive. Ranks that wait have none.
  shunt::held_hashes hashes{};
  std::string stopped{};  ///< why it ended early
  double computing_share = 0;
  std::optional<language_work::overflow> overflow{};
};

/// The phases of every recovery; where workers are processes, the longest that any survivor saw.
inline void print_recoveries(std::ostream& out, shunt::pipeline_job const& job,
                             std::vector<shunt::loss> const& losses) {
  if (losses.empty()) return;
  auto const ms = milliseconds;
  bool const salvaged =
      std::any_of(losses.begin(), losses.end(), [](auto const& l) { return l.total > 0; });
  out << "recoveries, in milliseconds:\n"
      << format("%-14s %9s %8s %8s %8s %8s %8s %8s %13s %18s%s\n", "lost", "iteration", "detect",
                "agree", "restore", "re-plan", "rebuild", "redo", "steps undone",
                "instructions lost", salvaged ? "  backward passes kept" : "");
  for (auto const& l : losses)
    out << format("%-14s %9lld %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %13d %18lld%s\n",
                  l.ranks.empty() ? "nobody" : describe(job, l.ranks), l.iteration, ms(l.detect),
                  ms(l.agree), ms(l.restore), ms(l.replan), ms(l.rebuild), ms(l.redo),
                  l.steps_undone, l.instructions_lost,
                  salvaged ? format("%14lld of %3lld", l.kept, l.total) : "");
}

/// Why a run ended early, with the stage that no live worker holds; empty where it didn't. A policy
/// says why itself.
inline std::string reason_to_stop(options const& o, shunt::recovery_report const& report) {
  if (report.stopped.empty() || o.policy != "slipstream") return report.stopped;
  auto job = o.training.job;
  job.dead.clear();
  for (shunt::rank_id const r : report.dead) job.dead.push_back(job.worker_of(r));
  auto const stage = stage_without_worker(job);
  return report.stopped +
         (stage ? ": stage " + std::to_string(stage->value()) + " has no live worker" : "");
}

/// What differs from the undisturbed run; nothing where it is the same to the last bit.
inline std::optional<std::string> difference(trained const& run,
                                             undisturbed_training const& undisturbed,
                                             shunt::pipeline_job const& job) {
  if (!run.stopped.empty())
    return format("differ: %zu of %zu iterations were trained", run.iterations.size(),
                  undisturbed.losses.size());
  return shunt::difference(run.iterations, run.hashes, undisturbed, job);
}

/// The largest relative difference of a loss from the exact run's that other gradients may make.
inline constexpr double most_difference = 0.01;

/// Whether the last loss of a run whose gradients are not exact is near that of the exact run.
inline bool near_exact(std::ostream& out, trained const& run, undisturbed_training const& exact,
                       shunt::element gradients) {
  if (run.iterations.size() != exact.losses.size()) return false;
  double const off = std::abs(run.iterations.back().loss / exact.losses.back() - 1);
  bool const near = off <= most_difference;
  out << (near ? "near" : "too far from")
      << format(" the exact run without failures: with %s gradients the last loss is %.3g %% off, "
                "%g %% allowed\n",
                std::string(to_string(gradients)), 100 * off, 100 * most_difference);
  return near;
}

/// All there is to say at the end of a run; the exit status. `undisturbed()`
/// is what it should have come to, which takes as long; a run that ended early doesn't ask for it.
template <class Undisturbed>
int conclude(std::ostream& out, trained const& run, language_training const& training,
             Undisturbed const& undisturbed) {
  auto const& job = training.job;
  print_recoveries(out, job, run.losses);
  if (run.computing_share > 0.04)
    out << format("warning: real computation takes %.1f %% of the time of operations, more than 4 "
                  "%%; raise --op-ms\n",
                  100 * run.computing_share);
  if (run.overflow)
    out << "warning: a gradient of worker " << shunt::describe(job.worker_of(run.overflow->rank))
        << " in iteration " << run.overflow->iteration
        << " was not finite or beyond 64, and its step was left out; lower --lr\n";
  if (!run.stopped.empty()) {
    out << "stopped: " << run.stopped << "\n"
        << format("differ: %zu of %lld iterations were trained\n", run.iterations.size(),
                  training.iterations);
    return 1;
  }
  undisturbed_training const expected = undisturbed();
  if (training.gradient_type != shunt::element::int64)
    return near_exact(out, run, expected, training.gradient_type) ? 0 : 1;
  if (auto const what = difference(run, expected, job)) {
    out << *what << "\n";
    return 1;
  }
  out << format("parameters identical: all workers of %zu stages, hash %016llx\n",
                expected.hashes.size(),
                static_cast<unsigned long long>(shunt::hash_of(expected.hashes)))
      << format("identical: %zu losses\n", expected.losses.size());
  return 0;
}

/// What is said of a change of the workers' parts.
struct seen_change {
  std::int64_t iteration = 0;
  shunt::ticks period = 0;
  std::vector<shunt::rank_id> dead{};
  std::vector<std::int32_t> workers{}, microbatches{};  ///< of each pipeline
  std::int64_t waiting = 0, copies = 0, bytes = 0, redone = 0;
};
inline seen_change change_of(shunt::rearrangement const& r, shunt::ticks period) {
  seen_change all{.iteration = r.iteration,
                  .period = period,
                  .dead = r.dead,
                  .microbatches = r.next.job.microbatches.values(),
                  .waiting = std::ssize(r.waiting),
                  .copies = r.copies,
                  .bytes = r.bytes,
                  .redone = r.redone};
  for (auto const& ranks : shunt::workers_of(r.next))
    all.workers.push_back(
        static_cast<std::int32_t>(std::set<shunt::rank_id>(ranks.begin(), ranks.end()).size()));
  return all;
}

/// A line when workers were lost or came, and one for every iteration.
class progress_log {
 public:
  progress_log(std::ostream& out, options const& o)
      : out_(out),
        job_(o.training.job),
        unit_ms_(std::chrono::duration<double, std::milli>(o.training.unit).count()) {}

  std::ostream& out() { return out_; }
  void plan(std::int64_t iteration, shunt::ticks period, std::vector<shunt::worker> const& dead) {
    for (auto const w : dead)
      if (std::find(dead_.begin(), dead_.end(), w) == dead_.end())
        out_ << "worker " << shunt::describe(w) << " fell silent: iteration " << iteration
             << " is done again without it\n";
    for (auto const w : dead_)
      if (std::find(dead.begin(), dead.end(), w) == dead.end())
        out_ << "worker " << shunt::describe(w) << " joins with a copy of a peer's state\n";
    dead_ = dead;
    out_ << format("plan for %d of %d workers: period %s",
                   job_.ranks() - static_cast<std::int32_t>(dead.size()), job_.ranks(),
                   in_time(period))
         << std::endl;
  }
  /// Workers have other parts by a policy.
  void change(std::string const& policy, seen_change const& c) {
    for (auto const rank : c.dead) {
      auto const w = job_.worker_of(rank);
      if (std::find(dead_.begin(), dead_.end(), w) != dead_.end()) continue;
      dead_.push_back(w);
      out_ << "worker " << shunt::describe(w) << " fell silent: training goes on with iteration "
           << c.iteration << " without it\n";
    }
    auto const sum = [](std::vector<std::int32_t> const& parts) {
      std::string all;
      for (auto const n : parts) all += (all.empty() ? "" : "+") + std::to_string(n);
      return all;
    };
    auto const counted = [](std::int64_t n, char const* what) {
      return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
    };
    out_ << policy << ": pipelines of " << sum(c.workers) << " workers take " << sum(c.microbatches)
         << " micro-batches, " << c.waiting << " workers wait; " << counted(c.copies, "stage")
         << " (" << counted(c.bytes, "byte") << ") copied, " << counted(c.redone, "iteration")
         << " done again; period " << in_time(c.period) << std::endl;
  }
  /// Workers keep their parts and have another plan.
  void same_parts(std::string const& policy, shunt::ticks period) {
    out_ << policy << ": workers keep their stages; period " << in_time(period) << std::endl;
  }
  void iteration(shunt::trained_iteration const& i) {
    out_ << format("iteration %lld loss %.17g live %d planned %s measured %s", i.iteration, i.loss,
                   i.live, in_time(i.planned),
                   i.took ? format("%.1f ms", milliseconds(*i.took)) : "-")
         << std::endl;
  }
  void step(std::int64_t iteration, shunt::step_outcome const& seen, int taken_back) {
    out_ << format("step of iteration %lld: ", iteration)
         << (seen.left_out ? std::string("left out, a gradient was not finite")
                           : format("gradients clipped, their norm was %.6g", seen.norm))
         << format("; %d workers had stepped and rolled back", taken_back) << std::endl;
  }

 private:
  std::string in_time(shunt::ticks t) const {
    return unit_ms_ > 0 ? format("%.1f ms", static_cast<double>(t) * unit_ms_)
                        : format("%lld units", t);
  }

  std::ostream& out_;
  shunt::pipeline_job const job_;
  double const unit_ms_;
  std::vector<shunt::worker> dead_{};
};

}  // namespace example
