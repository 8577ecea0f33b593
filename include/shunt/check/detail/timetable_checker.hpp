#pragma once
#include <cstdint>
#include <vector>

#include "shunt/check/detail/schedule_checker.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// The rules on a schedule and its times.
class timetable_checker {
 public:
  using place = schedule_checker::place;

  SHUNT_CONSTEXPR timetable_checker(pipeline_job const& job, pipeline_schedule const& schedule,
                                    timetable const& table)
      : job_(job), schedule_(schedule), table_(table), places_(job, schedule) {}

  [[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_violation> find_violations();

 private:
  [[nodiscard]] SHUNT_CONSTEXPR interval const& when(place w) const;

  SHUNT_CONSTEXPR void report(pipeline_rule rule, place w, operation const& related,
                              std::int64_t count, std::int64_t limit);

  [[nodiscard]] SHUNT_CONSTEXPR ticks cost(place w) const;

  SHUNT_CONSTEXPR void check_operation(place w, bool first_of_pair, bool second_of_pair);

  /// Checks every step against the latest operation that it waits for, on the lowest rank where
  /// several end at once.
  SHUNT_CONSTEXPR void check_steps();

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  timetable const& table_;
  schedule_checker places_;
  std::vector<pipeline_violation> found_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/timetable_checker.ipp"
#endif
