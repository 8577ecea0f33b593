#include "shunt/solve/pipeline/redundant_forward.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "shunt/check/redundancy.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "support/redundancy.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::redundant_forward_test {
namespace {

// The commands of the authors' engine, S = 3, M = 3.
TEST(bamboo_redundant_forward, orders_of_the_authors_engine) {
  auto const answer = redundant_forward{}(bamboo_job(3, 3));
  EXPECT_EQ(shown(answer.plan, 0), "F0 F1 F2 R0 B0 R1 B1 R2 B2 S");
  EXPECT_EQ(shown(answer.plan, 1), "F0 F1 R0 B0 F2 R1 B1 R2 B2 S");
  EXPECT_EQ(shown(answer.plan, 2), "F0 B0 F1 B1 F2 B2 S");
}

TEST(bamboo_redundant_forward, makespans_by_vectors) {
  struct vector {
    std::int32_t stages, microbatches;
    ticks without, with;
  };
  for (auto const& v : std::array<vector, 12>{{{2, 4, 15, 17},
                                               {3, 3, 15, 16},
                                               {4, 4, 21, 23},
                                               {4, 6, 27, 31},
                                               {4, 8, 33, 39},
                                               {4, 12, 45, 55},
                                               {4, 16, 57, 71},
                                               {6, 12, 51, 61},
                                               {6, 24, 87, 109},
                                               {8, 16, 69, 83},
                                               {8, 32, 117, 147},
                                               {5, 7, 33, 38}}}) {
    auto const job = bamboo_job(v.stages, v.microbatches);
    auto const answer = redundant_forward{}(job);
    auto const table = times(job, answer.plan);
    EXPECT_EQ(lines(check(job, answer.plan, table)), "");
    EXPECT_EQ(makespan(job, answer.plan.plain), v.without) << v.stages << ' ' << v.microbatches;
    EXPECT_EQ(makespan(answer.plan.plain, table.plain), v.with)
        << v.stages << ' ' << v.microbatches;
    EXPECT_EQ(answer.objective, static_cast<double>(v.with));
  }
}

// Bubbles hide two redundant forwards of M, at any S.
TEST(bamboo_redundant_forward, makespan_in_closed_form) {
  for (std::int32_t s = 2; s <= 9; ++s)
    for (std::int32_t m = 1; m <= 25; ++m)
      EXPECT_EQ(redundant_forward{}(bamboo_job(s, m)).objective,
                3 * (m + s - 1) + std::max(m - 2, 0))
          << s << ' ' << m;
}

TEST(bamboo_redundant_forward, other_orders) {
  auto const job = bamboo_job(3, 2);
  auto const plan = redundant_forward::insert(job, gpipe{}(job).plan);
  EXPECT_EQ(shown(plan, 0), "F0 F1 R0 B0 R1 B1 S");
  EXPECT_EQ(lines(check(job, plan)), "");
  auto const alone = redundant_forward{}(bamboo_job(1, 2));
  EXPECT_EQ(shown(alone.plan, 0), "F0 B0 F1 B1 S");
  EXPECT_EQ(alone.status, status::optimal);
}

TEST(bamboo_redundant_forward, no_plan_and_bad_jobs) {
  auto job = bamboo_job(3, 2);
  job.pipelines = 2;
  job.dead = {{.pipeline = 0, .stage = 1}};
  auto const answer = redundant_forward{}(job);
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "worker 0:1 is dead and its micro-batches are not re-routed");
  EXPECT_EQ(answer.plan.redundant.size(), 6u);
  auto chunks = bamboo_job(4, 2);
  chunks.layout = stage_layout::looped(2);
  EXPECT_EQ(field_of([&] { (void)redundant_forward{}(chunks); }), "layout");
  chunks.layout = stage_layout::custom({0, 0, 1, 2});
  EXPECT_EQ(field_of([&] { (void)redundant_forward{}(chunks); }), "layout");
  EXPECT_EQ(field_of([&] { (void)redundant_forward{}(bamboo_job(0, 2)); }), "stages");
}

}  // namespace
}  // namespace shunt::tests::redundant_forward_test
