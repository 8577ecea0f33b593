#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/lower/pace.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/watched_work.hpp"

namespace shunt::detail {

/// The verdicts on slow ranks by which a run plans. Without a work that watches there are none.
template <class Work>
class followed_paces {
 public:
  /// The work outlives this.
  explicit followed_paces(Work& work) : work_(work) {}

  /// Throws as slow_watch does.
  void watch(pipeline_job const& job, slow_watch_config const& config)
    requires watchable<Work>
  {
    work_.watch(job, config);
    verdicts_ = kept_ = slow_verdicts(static_cast<std::size_t>(job.ranks()));
  }

  /// Returns the verdicts that were taken last, by rank; none where nothing watches.
  [[nodiscard]] slow_verdicts const& verdicts() const { return verdicts_; }

  /// Takes what all ranks know of each other before this iteration.
  /// Returns whether any factor is another than before.
  bool take(std::int64_t next) {
    auto* const watch = watching();
    if (watch == nullptr) return false;
    auto const before = std::exchange(verdicts_, watch->before(next));
    return !same_factors(before, verdicts_);
  }

  /// The plan in force was made by the verdicts that were taken last.
  void keep() { kept_ = verdicts_; }
  /// Returns whether the plan in force was made by other factors.
  [[nodiscard]] bool aged() const { return !same_factors(kept_, verdicts_); }

  /// A rank that joins knows of no verdict.
  void forget() {
    if (auto* const watch = watching()) watch->forget();
  }

  /// From now on sessions of `all` end where a factor changes. This outlives the sessions.
  void end_sessions(recovery& all) const {
    if (auto* const watch = watching())
      all.plan_serves = [this, watch](std::int64_t next) {
        return same_factors(watch->before(next), verdicts_);
      };
  }

  /// Returns an iteration with what its ranks, and those beside it, tell each other.
  [[nodiscard]] program told(program iteration, rank_id judge,
                             std::span<rank_id const> beside = {}) const {
    auto* const watch = watching();
    if (watch == nullptr) return iteration;
    return with_pace(std::move(iteration), judge, watch->sizes(), beside);
  }
  /// Adds to an iteration what its ranks tell each other.
  void tell_in(planned_iteration& plan, rank_id judge) const {
    if (watching() != nullptr)
      plan.iteration = std::make_shared<program const>(told(*plan.iteration, judge));
  }

 private:
  [[nodiscard]] slow_watch* watching() const {
    if constexpr (watchable<Work>)
      return work_.watching();
    else
      return nullptr;
  }

  Work& work_;
  slow_verdicts verdicts_{}, kept_{};
};

}  // namespace shunt::detail
