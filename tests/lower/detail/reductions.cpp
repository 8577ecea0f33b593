#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shunt/lower/detail/reductions.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"

namespace shunt::tests::reductions_test {
namespace {

using namespace detail;

TEST(reductions, dead_ranks_reduce_nothing) {
  pipeline_job const job{.pipelines = 2, .stages = 2, .dead = {{0, 1}}};
  std::vector<std::int32_t> const finished{1, 0};
  program_builder builder(4);
  gradient_reductions const sums(job, true, finished, nullptr, nullptr, element::int64, builder);
  EXPECT_EQ(sums.live(), (std::vector<rank_id>{0, 2, 3}));
}

TEST(reductions, a_stage_with_one_live_rank_needs_no_collective) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 2};
  auto plan = one_f_one_b{}(job).plan;
  plan.staggered_step = true;
  auto const collectives = [](program const& p, rank_id r) {
    auto const& list = p.ranks[r].instructions;
    return std::count_if(list.begin(), list.end(),
                         [](auto const& i) { return i.code == opcode::all_reduce; });
  };
  EXPECT_EQ(collectives(lower(job, plan), 0), 2);  // gradient and flag of its stage
  plan.staggered_step = false;
  EXPECT_EQ(collectives(lower(job, plan), 0), 3);  // and the flag of all
  job = {.stages = 1, .microbatches = 2};
  EXPECT_EQ(collectives(lower(job, one_f_one_b{}(job).plan), 0), 0);
}

}  // namespace
}  // namespace shunt::tests::reductions_test
