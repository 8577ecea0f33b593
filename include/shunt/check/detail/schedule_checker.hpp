#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// Places and dependencies of a schedule's operations, and the rules on them. Operations that the
/// job doesn't have are ignored.
class schedule_checker {
 public:
  using violations = std::vector<pipeline_violation>;

  struct place {
    rank_id rank = -1;
    std::int32_t index = -1;
    bool operator==(place const&) const = default;
    [[nodiscard]] constexpr bool found() const { return index >= 0; }
  };

  SHUNT_CONSTEXPR schedule_checker(pipeline_job const& job, pipeline_schedule const& schedule);

  [[nodiscard]] SHUNT_CONSTEXPR violations find_violations();
  /// Returns the violations of all rules but the last.
  [[nodiscard]] SHUNT_CONSTEXPR violations violations_before_execution();
  /// Checks the last rule by running every rank as far as it gets. A rank that must wait continues
  /// when the awaited operation is done. A step waits for all operations of its stage, or of all
  /// stages where it isn't staggered.
  /// Returns a violation of `cycle`, or of another rule where there is none.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_violation execution() const;

  [[nodiscard]] constexpr operation const& at(place w) const;
  /// Returns the place of the operation that makes the input of `o`. Not found: it needs none, or
  /// the one it needs is missing.
  [[nodiscard]] constexpr place input_of(operation const& o) const;
  [[nodiscard]] constexpr bool known(operation const& o) const;
  /// Whether operations i and i + 1 of a list are an overlapped pair.
  /// Requires ascending i between calls, and a counter `next` that starts at 0.
  [[nodiscard]] constexpr bool pair_at(rank_id r, std::int32_t i, std::size_t& next) const;

 private:
  /// Places of one micro-batch at one stage. A fused backward is both gradient and weight.
  struct cell {
    place forward{}, gradient{}, weight{};
  };

  [[nodiscard]] constexpr std::size_t index(operation const& o) const;
  [[nodiscard]] constexpr cell const& of(operation const& o) const { return cells_[index(o)]; }

  /// Returns the violation of ranks that stand at `next` in their lists and cannot go on.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_violation
  deadlock(std::vector<std::int32_t> const& next) const;

  SHUNT_CONSTEXPR void report(pipeline_rule rule, place w, operation const& o,
                              operation const& related = {}, std::int64_t count = 0,
                              std::int64_t limit = 0);

  /// A stage of the rank being read.
  struct stage_state {
    rank_id holder = -1;
    std::int32_t step = -1;  // index of its step
  };

  template <class Visit>
  SHUNT_CONSTEXPR void each_worker(Visit&& visit) const {
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
      for (stage_id s : ids<stage_id>(job_.stages)) visit(job_.rank_of({p, s}), s);
  }

  SHUNT_CONSTEXPR void read_lists();

  SHUNT_CONSTEXPR void read_list(rank_id r, bool alive, std::vector<stage_state>& state);

  constexpr void enter(operation const& o, place here);

  SHUNT_CONSTEXPR void compare_places();

  constexpr void compare(cell const& c, pipeline_id p, stage_id s, microbatch_id m);

  SHUNT_CONSTEXPR void check_pairs(rank_id r);

  SHUNT_CONSTEXPR void count_stashes(rank_id r, std::int64_t limit);

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  std::size_t stages_;
  std::vector<cell> cells_{};
  violations found_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/schedule_checker.ipp"
#endif
