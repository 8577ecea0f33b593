#include "shunt/solve/author/run_list.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace shunt::tests::run_list_test {
namespace {

// The second of three ranks: stages 1 and 2 of five.
pipeline_job one_pipeline() {
  return {.stages = 5, .microbatches = 4, .layout = stage_layout::custom({2, 0, 0, 1, 1})};
}

TEST(run_list, forwards_ascend_and_everything_else_descends) {
  auto const job = one_pipeline();
  auto const run = runs_of(job)[0];
  std::vector<operation> made;
  run_list list(job, run, 3, made);
  EXPECT_EQ(made.capacity(), 2U * (3 * 4 + 1));
  list.add(op_kind::forward, 3);
  list.add(op_kind::backward_input, 3);
  list.add(op_kind::backward_weight, 3);
  list.add_steps();
  EXPECT_EQ(made, (std::vector<operation>{{op_kind::forward, 0, 1, 3},
                                          {op_kind::forward, 0, 2, 3},
                                          {op_kind::backward_input, 0, 2, 3},
                                          {op_kind::backward_input, 0, 1, 3},
                                          {op_kind::backward_weight, 0, 2, 3},
                                          {op_kind::backward_weight, 0, 1, 3},
                                          {.kind = op_kind::step, .stage = 1},
                                          {.kind = op_kind::step, .stage = 2}}));
}

TEST(run_list, a_cap_holds_whole_microbatches_of_all_stages) {
  auto job = one_pipeline();
  job.stash.forward = {1, 2, 3, 1, 1};
  auto const run = runs_of(job)[0];
  std::vector<operation> made;
  EXPECT_EQ(run_list(job, run, 2, made).most_in_flight(3), 3);
  job.memory = stash_cap::per_worker(14);
  EXPECT_EQ(run_list(job, run, 2, made).most_in_flight(3), 2);
  job.memory = stash_cap::one_f_one_b();  // the second of three ranks
  EXPECT_EQ(run_list(job, run, 2, made).most_in_flight(3), 2);
  job.memory = stash_cap::per_worker(4);
  EXPECT_EQ(run_list(job, run, 2, made).most_in_flight(3), 0);
  job.memory = stash_cap::per_worker(std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(run_list(job, run, 2, made).most_in_flight(3), 3);
}

}  // namespace
}  // namespace shunt::tests::run_list_test
