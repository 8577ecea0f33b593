#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "shunt/check.hpp"
#include "shunt/problem.hpp"
#include "shunt/solve.hpp"

namespace shunt::tests::writing_a_solver_test {

// docs/writing-a-solver.md {
/// 1F1B with more micro-batches in flight than its S - s, to hide the transfer between stages.
struct eager_one_f_one_b {
  static constexpr std::string_view name = "eager_one_f_one_b";

  std::int32_t ahead =
      1;  ///< micro-batches in flight beyond 1F1B's; each costs one stash on every stage

  [[nodiscard]] constexpr shunt::solution<shunt::pipeline_schedule> operator()(
      shunt::pipeline_job const& job) const {
    shunt::validate(job);
    shunt::require_layout(job, name, shunt::stage_layout::shape::linear);
    auto schedule = shunt::empty_schedule(job);
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(job.ranks())) {
      auto const [p, s] = job.worker_of(r);
      auto& list = schedule.order[r];
      std::int32_t forward = 0;
      auto const next_forward = [&] {
        if (forward < job.microbatches[p])
          list.push_back({shunt::op_kind::forward, p, s, forward++});
      };
      for (std::int32_t i = s.value(); i < job.stages - 1 + ahead; ++i) next_forward();
      for (shunt::microbatch_id m : shunt::ids<shunt::microbatch_id>(job.microbatches[p])) {
        next_forward();
        list.push_back({shunt::op_kind::backward, p, s, m});
      }
      list.push_back({.kind = shunt::op_kind::step, .stage = s});
    }
    return shunt::evaluated(job, std::move(schedule));
  }
};
static_assert(shunt::solver_for<eager_one_f_one_b, shunt::pipeline_job>);
// }

namespace {

TEST(WritingASolver, HidesTransfers) {
  pipeline_job const job{.pipelines = 2, .stages = 4, .microbatches = 12, .transfer = 1};
  auto const plain = solve(job, one_f_one_b{});
  auto const eager = solve(job, eager_one_f_one_b{.ahead = 3});
  EXPECT_TRUE(check(job, eager.plan).empty());
  EXPECT_LT(eager.objective, plain.objective);
  EXPECT_EQ(solve(job, eager_one_f_one_b{.ahead = 0}).plan, plain.plan);
}

TEST(WritingASolver, ComposesWithTransforms) {
  pipeline_job const job{
      .pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}, .dead = {{1, 2}}};
  auto const answer =
      solve(job, eager_one_f_one_b{} | reroute{} | split_backward{} | stagger_step{});
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_TRUE(check(job, answer.plan).empty());
}

TEST(WritingASolver, SaysWhyACapCannotHold) {
  pipeline_job const job{.stages = 3, .microbatches = 6, .memory = stash_cap::one_f_one_b()};
  EXPECT_EQ(solve(job, eager_one_f_one_b{}).status, status::infeasible);
}

}  // namespace
}  // namespace shunt::tests::writing_a_solver_test
