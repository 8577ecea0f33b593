#pragma once
/// Plans for failures, made before the failures happen or when they do.
///
/// A store belongs to a job. It asks its solver once per set of dead workers and keeps the answer.
/// `prepare` plans ahead for 0 .. f failures, `exact` plans for a given set without moving a
/// worker, `normalized` gives the plan for as many failures, spread over the stages as they hurt
/// least, with the workers that move for it. Where links differ, a plan's times are those of its
/// ranks. See docs/pipeline-solvers.md.
/// All member functions may be called from several threads at once: one plans while the others
/// wait. Returned plans stay valid as long as they are held.
/// Throws invalid_problem where the job or the dead set is broken, or the job has dead workers.
/// Reference: SlipStream, arXiv 2405.14009 (the adaptive schedule store).
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

/// A plan with its job. The job's `dead` names the workers without operations.
struct stored_schedule {
  pipeline_job job{};
  solution<pipeline_schedule> answer{};
};

/// A normalised plan, and the rank in it of each live worker.
struct normalized_schedule {
  /// null where `reason` says why there is none
  std::shared_ptr<stored_schedule const> schedule{};
  /// [rank of the plan]: the rank that the worker had so far; -1 for a dead rank
  indexed<rank_id, rank_id> played_by{};
  /// workers that change their stage group; `to` is a rank of the plan, `copied_from` a rank so far
  std::vector<role_change> changes{};
  text reason{};
};

/// The plans of one job by their dead workers. Thread-safe.
template <solver_for<pipeline_job> Solver = slipstream>
class schedule_store {
 public:
  /// Throws invalid_problem where the job is broken or has dead workers.
  explicit schedule_store(pipeline_job job, Solver solver = {})
      : job_((validate(job), std::move(job))), solver_(std::move(solver)), stage_groups_(job_) {
    if (!job_.dead.empty())
      throw invalid_problem("dead", "must be empty: a store is told of failures later");
  }

  /// Makes the missing normalised plans for 0 .. `failures`, as far as each stage can keep a live
  /// worker.
  /// Returns the number of plans in the store afterwards.
  std::size_t prepare(std::int32_t failures) {
    for (std::int32_t n = 0; n <= failures; ++n)
      if (auto const dead = evenly(n)) exact(*dead);
    return size();
  }

  /// Returns the plan for this set of dead workers; plans it at the first call. Infeasible answers
  /// are kept as well; their reason names a stage without a live worker.
  /// Throws invalid_problem where the dead set is broken.
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

  /// Returns the normalised plan for as many failures and the assignment of the live workers, or
  /// the reason why there is none: a stage has no live worker.
  /// Throws invalid_problem where the dead set is broken.
  normalized_schedule normalized(std::vector<worker> const& dead) {
    normalized_schedule found;
    pipeline_job now = job_;
    now.dead = dead;
    validate(now);
    stage_groups const in(now);
    for (stage_group const& c : in.all)
      if (c.live.empty()) {
        found.reason = text("stage ") + text::of(c.stages.front().value()) + " has no live worker";
        return found;
      }
    // evenly() finds a spread: each stage group has a live rank now
    found.schedule = exact(*evenly(static_cast<std::int32_t>(dead.size())));
    stage_groups const then(found.schedule->job);
    found.played_by = indexed<rank_id, rank_id>(in.of.size(), -1);
    struct spare {
      rank_id worker;
      std::size_t stage_group;
    };
    std::vector<spare> spares;
    std::vector<rank_id> open;
    for (std::size_t c = 0; c < in.all.size(); ++c) {
      auto workers = in.all[c].live, roles = then.all[c].live;
      std::vector<rank_id> both;  // workers that can keep their rank do
      std::set_intersection(workers.begin(), workers.end(), roles.begin(), roles.end(),
                            std::back_inserter(both));
      for (rank_id const r : both) {
        found.played_by[r] = r;
        std::erase(workers, r);
        std::erase(roles, r);
      }
      std::size_t i = 0;
      for (; i < std::min(workers.size(), roles.size()); ++i)
        found.played_by[roles[i]] = workers[i];
      for (std::size_t w = i; w < workers.size(); ++w) spares.push_back({workers[w], c});
      open.insert(open.end(), roles.begin() + static_cast<std::ptrdiff_t>(i), roles.end());
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

  /// Returns the number of plans in the store.
  [[nodiscard]] std::size_t size() const {
    std::lock_guard const lock(mutex_);
    return kept_.size();
  }

 private:
  /// Returns the dead workers of the normalised plan: counts as in normalize_failures, over
  /// different pipelines as far as possible. Returns nothing where there are too many failures.
  [[nodiscard]] std::optional<std::vector<worker>> evenly(std::int32_t failures) const {
    auto const cost = detail::costs_of(job_, stage_groups_, failures, stage_group_cost(job_));
    auto const best =
        detail::least_spread(cost, std::vector<std::int32_t>(stage_groups_.all.size(), 0), failures,
                             normalize_failures::unlimited);
    if (!best.found()) return std::nullopt;
    std::vector<worker> dead;
    std::size_t turn = 0;
    for (std::size_t c = 0; c < stage_groups_.all.size(); ++c) {
      auto const& ranks = stage_groups_.all[c].live;
      for (std::int32_t k = 0; k < best.failures[c]; ++k)
        dead.push_back(job_.worker_of(ranks[turn++ % ranks.size()]));
    }
    return dead;
  }

  pipeline_job job_;
  Solver solver_;
  stage_groups stage_groups_;
  mutable std::mutex mutex_{};
  std::map<std::vector<worker>, std::shared_ptr<stored_schedule const>> kept_{};
};

}  // namespace shunt
