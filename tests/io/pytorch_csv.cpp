#include <gtest/gtest.h>

#include <sstream>

#include "shunt/io/pytorch_csv.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "support/pytorch.hpp"

namespace shunt::tests::pytorch_csv_test {
namespace {

TEST(pytorch_csv, both_forms_of_1f1b) {
  pipeline_job const job{.stages = 2, .microbatches = 2};
  auto const plan = one_f_one_b{}(job).plan;
  EXPECT_EQ(compute_only(job, plan), "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  EXPECT_EQ(with_comms(job, plan, 0, pytorch_release::v2_14),
            "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n"
            "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1,1REDUCE_GRAD\n");
  EXPECT_EQ(with_comms(job, plan),
            "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0WAIT_SEND_F0,0RECV_B1,0B1,0WAIT_SEND_F1,"
            "0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n"
            "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1,1REDUCE_GRAD,1WAIT_REDUCE_GRAD,"
            "1WAIT_SEND_B0,1WAIT_SEND_B1\n");
}

TEST(pytorch_csv, one_pipeline_of_several) {
  pipeline_job const job{.pipelines = 3, .stages = 4, .microbatches = 6};
  auto const plan = one_f_one_b{}(job).plan;
  EXPECT_EQ(compute_only(job, plan, 2), compute_only(job, plan));
  EXPECT_EQ(with_comms(job, plan, 1), with_comms(job, plan));
}

TEST(pytorch_csv, what_a_csv_cannot_say) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 2, .dead = {{1, 1}}};
  auto const plan = reroute{}(job, one_f_one_b{}(job).plan).plan;
  auto const why = [&](pipeline_job const& of, pipeline_schedule const& p, pipeline_id which) {
    return refusal_or_nothing([&] { static_cast<void>(compute_only(of, p, which)); });
  };
  EXPECT_EQ(why(job, plan, 0), "plan: rank 1 computes for pipeline 1: a CSV has no re-routing");
  EXPECT_EQ(why(job, plan, 1), "dead: rank 3 of pipeline 1 is dead: a CSV has no re-routing");
  EXPECT_EQ(why(job, plan, 2), "pipeline: 2 is none of 2");
  pipeline_job const both{
      .pipelines = 2, .stages = 2, .microbatches = 4, .layout = stage_layout::bidirectional()};
  EXPECT_EQ(why(both, dual_pipe{}(both).plan, 0),
            "layout: rank 0 holds stages of two pipelines: a CSV has one");
  auto out_of_order = read_pytorch("0F1,0F0,0B0,0B1\n").schedule;
  EXPECT_EQ(why({.microbatches = 2}, out_of_order, 0),
            "plan: the last stage runs the forward of micro-batch 0 after that of 1: torch numbers "
            "losses in the order of these forwards");
  pipeline_job const two{.stages = 2, .microbatches = 2};
  auto table = times(two, one_f_one_b{}(two).plan);
  table.times[0][0].end = 100;
  std::ostringstream out;
  EXPECT_EQ(
      refusal_or_nothing([&] { write_pytorch_csv(out, two, one_f_one_b{}(two).plan, table); }),
      "table: what 0F0 makes is not ready when it is needed");
  table.times[0].pop_back();
  EXPECT_EQ(
      refusal_or_nothing([&] { write_pytorch_csv(out, two, one_f_one_b{}(two).plan, table); }),
      "table: has times for another number of operations on rank 0");
}

}  // namespace
}  // namespace shunt::tests::pytorch_csv_test
