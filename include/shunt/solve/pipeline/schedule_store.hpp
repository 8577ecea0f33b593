#pragma once
/// Plans for failures, made before they happen or when they do (SlipStream, arXiv 2405.14009: the
/// adaptive schedule store).
///
/// A store belongs to a job. For each set of dead workers it asks its solver once and keeps the
/// answer; the caller chooses when:
///   prepare(f)           offline, the normalised plans for 0 .. f failures: f + 1 of them,
///   whichever workers fail exact(dead)          on demand, the plan for this set: nobody moves
///   normalized(dead)     the plan for as many failures, spread over the stages as they hurt least,
///   and who moves for it
/// Normalised plans name seats. Peers of a stage hold the same parameters, so a live worker takes
/// any seat of its own column without a copy; only who changes the column copies state. Where links
/// differ, a plan's times are those of its seats. Every member function may be called by several
/// threads at once: one of them plans while the others wait. What they return stays valid for as
/// long as it is held. Throws invalid_problem where the job or the dead set is broken, or the job
/// has dead workers of its own.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace shunt {

/// A plan together with the job it is for, whose `dead` says which seats stay empty.
struct stored_schedule {
  pipeline_job job{};
  solution<pipeline_schedule> answer{};
};

/// A normalised plan and how the live workers come to their seats in it.
struct normalized_schedule {
  std::shared_ptr<stored_schedule const> schedule{};  ///< none where `reason` says why
  /// [seat's rank]: the rank that the worker had so far; -1 for a dead seat.
  indexed<rank_id, rank_id> played_by{};
  std::vector<seat_change> changes{};  ///< those who change their column; `to` is a seat of the
                                       ///< plan, `copied_from` a rank so far
  text reason{};
};

template <solver_for<pipeline_job> Solver = slipstream>
class schedule_store {
 public:
  explicit schedule_store(pipeline_job job, Solver solver = {})
      : job_((validate(job), std::move(job))), solver_(std::move(solver)), columns_(job_) {
    if (!job_.dead.empty())
      throw invalid_problem("dead", "must be empty: a store is told of failures later");
  }

  /// Makes the normalised plans for 0 .. failures that aren't there yet, as far as each stage can
  /// keep a live worker. Returns how many plans the store has then.
  std::size_t prepare(std::int32_t failures) {
    for (std::int32_t n = 0; n <= failures; ++n)
      if (auto const dead = evenly(n)) exact(*dead);
    return size();
  }

  /// Infeasible answers are kept as well: a stage without a live worker is named in their reason.
  std::shared_ptr<stored_schedule const> exact(std::vector<worker> dead) {
    pipeline_job job = job_;
    job.dead = std::move(dead);
    validate(job);
    for (worker& w : job.dead) w = job.worker_of(job.rank_of(w));
    std::sort(job.dead.begin(), job.dead.end());
    std::lock_guard const lock(mutex_);
    if (auto const kept = kept_.find(job.dead); kept != kept_.end()) return kept->second;
    auto answer = solver_(job);
    auto key = job.dead;
    return kept_
        .emplace(std::move(key), std::make_shared<stored_schedule const>(
                                     stored_schedule{std::move(job), std::move(answer)}))
        .first->second;
  }

  normalized_schedule normalized(std::vector<worker> const& dead) {
    normalized_schedule found;
    pipeline_job now = job_;
    now.dead = dead;
    validate(now);
    columns const in(now);
    for (column const& c : in.all)
      if (c.live.empty()) {
        found.reason = text("stage ") + text::of(c.stages.front().value()) + " has no live worker";
        return found;
      }
    found.schedule = exact(*evenly(
        static_cast<std::int32_t>(dead.size())));  // there is room: each column has a live rank now
    columns const then(found.schedule->job);
    found.played_by = indexed<rank_id, rank_id>(in.of.size(), -1);
    struct spare {
      rank_id worker;
      std::size_t column;
    };
    std::vector<spare> spares;
    std::vector<rank_id> open;
    for (std::size_t c = 0; c < in.all.size(); ++c) {
      auto workers = in.all[c].live, seats = then.all[c].live;
      std::vector<rank_id> both;  // those who can stay where they are do
      std::set_intersection(workers.begin(), workers.end(), seats.begin(), seats.end(),
                            std::back_inserter(both));
      for (rank_id const r : both) {
        found.played_by[r] = r;
        std::erase(workers, r);
        std::erase(seats, r);
      }
      std::size_t i = 0;
      for (; i < std::min(workers.size(), seats.size()); ++i)
        found.played_by[seats[i]] = workers[i];
      for (std::size_t w = i; w < workers.size(); ++w) spares.push_back({workers[w], c});
      open.insert(open.end(), seats.begin() + static_cast<std::ptrdiff_t>(i), seats.end());
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
      rank_id const worker = spares[i].worker;
      found.played_by[open[i]] = worker;
      found.changes.push_back(
          {.to = open[i],
           .from = worker,
           .copied_from = in.all[static_cast<std::size_t>(in.of[open[i]])].live.front()});
    }
    return found;
  }

  /// How many plans there are.
  [[nodiscard]] std::size_t size() const {
    std::lock_guard const lock(mutex_);
    return kept_.size();
  }

 private:
  /// Where so many failures hurt least: counts as normalize_failures has them, over different
  /// pipelines as far as possible.
  [[nodiscard]] std::optional<std::vector<worker>> evenly(std::int32_t failures) const {
    auto const cost = detail::costs_of(job_, columns_, failures, column_cost(job_));
    auto const best = detail::least_spread(cost, std::vector<std::int32_t>(columns_.all.size(), 0),
                                           failures, normalize_failures::unlimited);
    if (!best.found()) return std::nullopt;
    std::vector<worker> dead;
    std::size_t turn = 0;
    for (std::size_t c = 0; c < columns_.all.size(); ++c) {
      auto const& ranks = columns_.all[c].live;
      for (std::int32_t k = 0; k < best.failures[c]; ++k)
        dead.push_back(job_.worker_of(ranks[turn++ % ranks.size()]));
    }
    return dead;
  }

  pipeline_job job_;
  Solver solver_;
  columns columns_;
  mutable std::mutex mutex_{};
  std::map<std::vector<worker>, std::shared_ptr<stored_schedule const>> kept_{};
};

}  // namespace shunt
