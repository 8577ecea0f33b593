#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/solver.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests {

inline per_stage random_costs(random_cases& d, std::int32_t stages, std::int32_t low,
                              std::int32_t high) {
  std::vector<ticks> each;
  bool const equal = d.roll(0, 2) == 0;
  for (std::int32_t s = 0; s < stages; ++s)
    each.push_back(equal && s > 0 ? each[0] : d.roll(low, high));
  return per_stage(std::move(each));
}

template <class Solver>
solution<pipeline_schedule> checked(pipeline_job const& job, Solver const& solver) {
  auto answer = solve(job, solver);
  EXPECT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_EQ(lines(check(job, answer.plan, steady_times(job, answer.plan))), "");
  EXPECT_EQ(answer.plan.staggered_step, solver.stagger);
  EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
  EXPECT_EQ(answer.lower_bound, static_cast<double>(period_bound(job, solver.stagger)));
  EXPECT_GE(answer.objective, answer.lower_bound);
  EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
  EXPECT_EQ(answer, solve(job, solver));
  return answer;
}

inline pipeline_job unit_job(std::int32_t ranks, std::int32_t microbatches, std::int32_t chunks) {
  return {.stages = chunks * ranks,
          .microbatches = microbatches,
          .layout = chunks == 1 ? stage_layout::linear() : stage_layout::wave(2)};
}

template <class Solver>
void closed_form(std::int32_t chunks, bool zero_when_staggered) {
  for (std::int32_t ranks = 2; ranks <= 10; ++ranks)
    for (std::int32_t const microbatches : {2 * ranks, 3 * ranks + 1}) {
      SCOPED_TRACE(std::string(Solver::name) + " " + std::to_string(ranks) + " ranks, " +
                   std::to_string(microbatches));
      auto const job = unit_job(ranks, microbatches, chunks);
      auto const answer = Solver{}(job);
      auto const peak = stash_peak(job, answer.plan);
      auto const known = static_cast<double>(3 * chunks * microbatches + Solver::bubble(ranks));
      EXPECT_LE(answer.objective, known);  // of V-Half there is better at some sizes
      if (microbatches == 2 * ranks) {
        EXPECT_EQ(answer.objective, known);
      }
      EXPECT_EQ(*std::max_element(peak.begin(), peak.end()), Solver::stash_peak(ranks));
      if (zero_when_staggered) {
        EXPECT_EQ(Solver{.stagger = true}(job).objective,
                  static_cast<double>(3 * chunks * microbatches));
      }
    }
}

}  // namespace shunt::tests
