// PyTorch's CSV forms: what is written reads back equal, and what is broken is refused by row,
// column and text.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/pytorch_csv.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;

std::string refusal(std::function<void()> const& what) {
  try {
    what();
    return "";
  } catch (invalid_problem const& error) {
    return error.what();
  }
}
pytorch_plan read(std::string const& text, pytorch_form wanted = pytorch_form::any) {
  std::istringstream in(text);
  return read_pytorch_csv(in, "x.csv", wanted);
}
std::string refused(std::string const& text, pytorch_form wanted = pytorch_form::any) {
  return refusal([&] { static_cast<void>(read(text, wanted)); });
}
std::string compute_only(pipeline_job const& job, pipeline_schedule const& plan,
                         pipeline_id p = 0) {
  std::ostringstream out;
  write_pytorch_csv(out, job, plan, p);
  return out.str();
}
std::string with_comms(pipeline_job const& job, pipeline_schedule const& plan, pipeline_id p = 0) {
  std::ostringstream out;
  write_pytorch_csv(out, job, plan, times(job, plan), p);
  return out.str();
}

/// Ranks that run their lists with one stream each, where a send and its receive wait for each
/// other: true where all come to the end.
bool ends_under_rendezvous(std::string const& csv) {
  std::vector<std::vector<pytorch_action>> rows;
  std::istringstream in(csv);
  for (std::string line; std::getline(in, line);) {
    auto& row = rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) {
      auto const c = parse_pytorch_cell(cell, "test");
      if (c.first.sends() || c.first.receives()) row.push_back(c.first);
    }
  }
  auto const partner = [](pytorch_action a) {
    using kind = pytorch_action::kind;
    if (a.what == kind::send_f)
      return pytorch_action{kind::recv_f, a.stage.value() + 1, a.microbatch};
    return pytorch_action{kind::recv_b, a.stage.value() - 1, a.microbatch};
  };
  std::vector<std::size_t> next(rows.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t a = 0; a < rows.size(); ++a)
      for (std::size_t b = 0; b < rows.size(); ++b)
        if (a != b && next[a] < rows[a].size() && next[b] < rows[b].size() &&
            rows[a][next[a]].sends() && rows[b][next[b]] == partner(rows[a][next[a]])) {
          ++next[a], ++next[b];
          moved = true;
        }
  }
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (next[r] < rows[r].size()) return false;
  return true;
}

void expect_round_trip(pipeline_job const& job, pipeline_schedule const& plan,
                       std::string const& what) {
  ASSERT_TRUE(check(job, plan).empty()) << what;
  for (bool const comms : {false, true}) {
    auto const text = comms ? with_comms(job, plan) : compute_only(job, plan);
    auto const back = read(text, comms ? pytorch_form::with_comms : pytorch_form::compute_only);
    EXPECT_EQ(back.job.stages, job.stages) << what;
    EXPECT_EQ(back.job.microbatches, job.microbatches) << what;
    EXPECT_EQ(back.job.layout, job.layout) << what;
    EXPECT_EQ(back.form, comms ? pytorch_form::with_comms : pytorch_form::compute_only) << what;
    EXPECT_EQ(back.schedule, plan) << what << "\n" << text;
    EXPECT_TRUE(check(back.job, back.schedule).empty()) << what;
    if (comms) {
      EXPECT_TRUE(ends_under_rendezvous(text)) << what << "\n" << text;
    } else {
      EXPECT_EQ(compute_only(back.job, back.schedule), text) << what;
    }
  }
}

TEST(io_pytorch, both_forms_of_1f1b) {
  pipeline_job const job{.stages = 2, .microbatches = 2};
  auto const plan = one_f_one_b{}(job).plan;
  EXPECT_EQ(compute_only(job, plan), "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  EXPECT_EQ(with_comms(job, plan),
            "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0REDUCE_GRAD\n"
            "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1,1REDUCE_GRAD\n");
}

TEST(io_pytorch, round_trips) {
  for (std::int32_t ranks = 2; ranks <= 5; ++ranks)
    for (std::int32_t m : {1, 3, 5, 8}) {
      auto const name = std::to_string(ranks) + " ranks, " + std::to_string(m) + " micro-batches";
      pipeline_job job{.stages = ranks,
                       .microbatches = m,
                       .costs = {.forward = 20, .backward_input = 21, .backward_weight = 17},
                       .transfer = 1};
      expect_round_trip(job, gpipe{}(job).plan, "gpipe " + name);
      expect_round_trip(job, one_f_one_b{}(job).plan, "1f1b " + name);
      expect_round_trip(job, zb_h1{}(job).plan, "zb_h1 " + name);
      for (std::int32_t const v : {2, 3, 4}) {
        job.stages = v * ranks;
        job.layout = stage_layout::looped(v);
        if (m % std::max(1, m / ranks) == 0)
          expect_round_trip(job, interleaved_one_f_one_b{}(job).plan, "interleaved " + name);
        job.layout = stage_layout::wave(v);
        expect_round_trip(job, hanayo{}(job).plan, "hanayo " + name);
      }
    }
}

TEST(io_pytorch, overlapped_pairs_round_trip) {
  pipeline_job const job{.stages = 8,
                         .microbatches = 10,
                         .costs = {.overlap_gain = 1},
                         .layout = stage_layout::v_shaped()};
  auto const answer = dual_pipe_v{}(job);
  ASSERT_FALSE(answer.plan.overlapped.empty());
  EXPECT_NE(compute_only(job, answer.plan).find(")OVERLAP_F_B"), std::string::npos);
  expect_round_trip(job, answer.plan, "dual_pipe_v");
}

TEST(io_pytorch, custom_layouts_round_trip) {
  auto const back = read("0F0,0F1,3F0,3B0,3F1,3B1,0B0,0B1\n"
                         "1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\n");
  EXPECT_EQ(back.job.layout, stage_layout::v_shaped());  // recognised
  EXPECT_TRUE(check(back.job, back.schedule).empty());
  auto const odd = read("0F0,2F0,2B0,0B0\n1F0,1B0\n");
  EXPECT_EQ(odd.job.layout, stage_layout::custom({0, 1, 0}));
  EXPECT_TRUE(check(odd.job, odd.schedule).empty());
  EXPECT_EQ(compute_only(odd.job, odd.schedule), "0F0,2F0,2B0,0B0\n1F0,1B0\n");
  EXPECT_EQ(with_comms(odd.job, odd.schedule),
            "0F0,0SEND_F0,2RECV_F0,2F0,2B0,2SEND_B0,0RECV_B0,2REDUCE_GRAD,0B0,0REDUCE_GRAD\n"
            "1RECV_F0,1F0,1SEND_F0,1RECV_B0,1B0,1SEND_B0,1REDUCE_GRAD\n");
}

TEST(io_pytorch, one_pipeline_of_several) {
  pipeline_job const job{.pipelines = 3, .stages = 4, .microbatches = 6};
  auto const plan = one_f_one_b{}(job).plan;
  EXPECT_EQ(compute_only(job, plan, 2), compute_only(job, plan));
  EXPECT_EQ(with_comms(job, plan, 1), with_comms(job, plan));
}

TEST(io_pytorch, what_a_csv_cannot_say) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 2, .dead = {{1, 1}}};
  auto const plan = reroute{}(job, one_f_one_b{}(job).plan).plan;
  auto const why = [&](pipeline_job const& of, pipeline_schedule const& p, pipeline_id which) {
    return refusal([&] { static_cast<void>(compute_only(of, p, which)); });
  };
  EXPECT_EQ(why(job, plan, 0), "plan: rank 1 computes for pipeline 1: a CSV has no re-routing");
  EXPECT_EQ(why(job, plan, 1), "dead: rank 3 of pipeline 1 is dead: a CSV has no re-routing");
  EXPECT_EQ(why(job, plan, 2), "pipeline: 2 is none of 2");
  pipeline_job const both{
      .pipelines = 2, .stages = 2, .microbatches = 4, .layout = stage_layout::bidirectional()};
  EXPECT_EQ(why(both, dual_pipe{}(both).plan, 0),
            "layout: rank 0 holds stages of two pipelines: a CSV has one");
  auto out_of_order = read("0F1,0F0,0B0,0B1\n").schedule;
  EXPECT_EQ(why({.microbatches = 2}, out_of_order, 0),
            "plan: the last stage runs the forward of micro-batch 0 after that of 1: torch numbers "
            "losses in the order of these forwards");
  pipeline_job const two{.stages = 2, .microbatches = 2};
  auto table = times(two, one_f_one_b{}(two).plan);
  table.times[0][0].end = 100;
  std::ostringstream out;
  EXPECT_EQ(refusal([&] { write_pytorch_csv(out, two, one_f_one_b{}(two).plan, table); }),
            "table: what 0F0 makes is not ready when it is needed");
  table.times[0].pop_back();
  EXPECT_EQ(refusal([&] { write_pytorch_csv(out, two, one_f_one_b{}(two).plan, table); }),
            "table: has times for another number of operations on rank 0");
}

TEST(io_pytorch, what_torch_writes_reads) {
  // As csv.writer does it: carriage returns, idle cells; UNSHARD and RESHARD where parameters are
  // sharded.
  auto const plain = read("0F0,0F1,,,0B0,0B1\r\n,1F0,1B0,1F1,1B1,\r\n");
  EXPECT_TRUE(check(plain.job, plain.schedule).empty());
  EXPECT_EQ(compute_only(plain.job, plain.schedule), "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  auto const sharded = read("0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0RESHARD,0REDUCE_GRAD\r\n"
                            "1UNSHARD,1RECV_F0,1F0,1B0,1SEND_B0,1RESHARD,1REDUCE_GRAD\r\n");
  EXPECT_EQ(sharded.schedule, read("0F0,0B0\n1F0,1B0\n").schedule);
  EXPECT_EQ(sharded.form, pytorch_form::with_comms);
  auto const reduced = read("0F0,0B0,0REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD\n");  // its GPipe and 1F1B
  EXPECT_EQ(reduced.form, pytorch_form::compute_only);
  EXPECT_EQ(reduced.schedule, sharded.schedule);
  EXPECT_EQ(refused("0F0,0B0,0REDUCE_GRAD\n", pytorch_form::compute_only),
            "x.csv row 1, column 3: \"0REDUCE_GRAD\" is no computation, and the file should have "
            "nothing else");
}

TEST(io_pytorch, cells_are_refused_by_place_and_text) {
  EXPECT_EQ(refused(""), "x.csv: is empty");
  EXPECT_EQ(refused("0F0,0B0\n\n"), "x.csv row 2: has no action");
  EXPECT_EQ(refused("0F0,2F0garbage\n"),
            "x.csv row 1, column 2: \"2F0garbage\" has more after its micro-batch");
  EXPECT_EQ(refused("0F0 1,0B0\n"),
            "x.csv row 1, column 1: \"0F0 1\" has more after its micro-batch");
  EXPECT_EQ(refused("0F0,0B\n"), "x.csv row 1, column 2: \"0B\" names no micro-batch");
  EXPECT_EQ(refused("0F0,0B-1\n"), "x.csv row 1, column 2: \"0B-1\" names no micro-batch");
  EXPECT_EQ(refused("F0\n"),
            "x.csv row 1, column 1: \"F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused("-1F0\n"),
            "x.csv row 1, column 1: \"-1F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused("0X0\n"), "x.csv row 1, column 1: \"0X0\" is no action that is known here");
  EXPECT_EQ(refused("0f0\n"), "x.csv row 1, column 1: \"0f0\" is no action that is known here");
  EXPECT_EQ(
      refused("0F0,0UNSHARD2\n"),
      "x.csv row 1, column 2: \"0UNSHARD2\" is of a stage as a whole and ends after its name");
  EXPECT_EQ(refused("99999999999F0\n"),
            "x.csv row 1, column 1: \"99999999999F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused("2147483647F0\n"),
            "x.csv row 1, column 1: \"2147483647F0\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused("2147483646F2147483646\n"),
            "x.csv: has 1 computations for 2147483647 stages x 2147483647 micro-batches");
  EXPECT_EQ(refused("\"0F0\",0B0\n"),
            "x.csv row 1, column 1: \"\"0F0\"\" doesn't begin with a stage, as 2F0 does");
  EXPECT_EQ(refused("(0F0;0B0)OVERLAP\n"),
            "x.csv row 1, column 1: \"(0F0;0B0)OVERLAP\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused("(0F0;0F1)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0F1)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(
      refused("(0F0;0W1)OVERLAP_F_B\n"),
      "x.csv row 1, column 1: \"(0F0;0W1)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(refused("(0F0;0B1;0B2)OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"0B1;0B2\" has more after its micro-batch");
  EXPECT_EQ(refused("(0F0)OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"(0F0)OVERLAP_F_B\" is no overlap as (0F3;3B1)OVERLAP_F_B");
  EXPECT_EQ(refused("(0F0;0B1x)OVERLAP_F_B\n"),
            "x.csv row 1, column 1: \"0B1x\" has more after its micro-batch");
  EXPECT_NE(refusal([] { static_cast<void>(read_pytorch_csv_file("/no/such/file.csv")); }), "");
  EXPECT_NE(refusal([] { static_cast<void>(read_pytorch_csv_file("/")); }), "");
}

TEST(io_pytorch, whatever_is_missing_is_named) {
  // The last rank of PyTorch 2.14's Schedule1F1B runs F1 .. Fm.
  EXPECT_EQ(
      refused("0F0,0F1,0B0,0B1\n1F1,1B0,1F2,1B1\n"),
      "x.csv row 1: has no forward of micro-batch 2 at stage 0, which row 2, column 3 computes");
  EXPECT_EQ(
      refused("0F0,0F1,0B0,0B1\n1F1,1B0,1F1,1B1\n"),
      "x.csv row 2: has no forward of micro-batch 0 at stage 1, which row 1, column 1 computes");
  EXPECT_EQ(refused("0F0,0F2,0B0,0B2\n"),
            "x.csv row 1: has no forward of micro-batch 1 at stage 0");
  EXPECT_EQ(refused("0F0,0F1,0B0\n"), "x.csv row 1: has no backward of micro-batch 1 at stage 0");
  EXPECT_EQ(refused("0F0,0I0\n"),
            "x.csv row 1: has no backward_weight of micro-batch 0 at stage 0");
  EXPECT_EQ(refused("0F0,0W0\n"), "x.csv row 1: has no backward of micro-batch 0 at stage 0");
  EXPECT_EQ(refused("0F0,0B0\n2F0,2B0\n"), "x.csv: has no row for stage 1");
  EXPECT_EQ(refused("0F0,0B0\n1F0,0B0\n"),
            "x.csv row 2, column 2: \"0B0\" is of a stage that row 1 holds");
  EXPECT_EQ(refused("0F0,0B0\n0UNSHARD\n"), "x.csv row 2: computes nothing");
  EXPECT_EQ(refused("0F0,0B0,1UNSHARD\n1F0,1B0\n"),
            "x.csv row 1, column 3: \"1UNSHARD\" is of a stage that this row doesn't compute");
  EXPECT_EQ(refused("0F0,0B0,7RESHARD\n"),
            "x.csv row 1, column 3: \"7RESHARD\" is of a stage that this row doesn't compute");
}

TEST(io_pytorch, check_judges_the_rest) {
  auto const first_rule = [](std::string const& text) {
    auto const back = read(text);
    auto const broken = check(back.job, back.schedule);
    return broken.empty() ? std::string() : std::string(to_string(broken.front().rule));
  };
  EXPECT_EQ(first_rule("0F0,0F0,0B0\n"), "repeated");
  EXPECT_EQ(first_rule("0F0,0B0,0B0\n"), "repeated");
  EXPECT_EQ(first_rule("0F0,0B0,0I0,0W0\n"), "repeated");
  EXPECT_EQ(first_rule("0B0,0F0\n"), "before_its_input");
  EXPECT_EQ(first_rule("0F0,0W0,0I0\n"), "before_its_input");
  EXPECT_EQ(first_rule("0F0,0F1,0B0,0B1\n1F1,1B1,1F0,1B0\n"), "");
  EXPECT_EQ(first_rule("0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n"), "cycle");
}

TEST(io_pytorch, transfers_are_checked) {
  // Good: 0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1 and
  // 1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1
  std::string const zero = "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n",
                    one = "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n";
  EXPECT_EQ(refused(zero + one), "");
  EXPECT_EQ(refused("0F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n" + one),
            "x.csv row 1, column 1: \"0F0\" is never sent on: 0SEND_F0 is missing");
  EXPECT_EQ(refused(zero + "1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"1F0\" never gets its input: 1RECV_F0 is missing");
  EXPECT_EQ(refused(zero + "1RECV_F0,1F0,1B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 3: \"1B0\" is never sent on: 1SEND_B0 is missing");
  EXPECT_EQ(refused("0SEND_F0,0F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n" + one),
            "x.csv row 1, column 1: \"0SEND_F0\" stands before what it sends");
  EXPECT_EQ(refused(zero + "1F0,1RECV_F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 2: \"1RECV_F0\" stands behind what needs it");
  EXPECT_EQ(refused(zero + "1RECV_F0,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 2: \"1RECV_F0\" stands twice");
  EXPECT_EQ(refused("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0SEND_B1\n" + one),
            "x.csv row 1, column 9: \"0SEND_B1\" has nobody to send to");
  EXPECT_EQ(refused(zero + "1RECV_F0,1F0,1SEND_F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 3: \"1SEND_F0\" has nobody to send to");
  EXPECT_EQ(refused(zero + "1RECV_F7,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"1RECV_F7\" is of a micro-batch that is never computed");
  EXPECT_EQ(refused(zero + "0RECV_F0,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"0RECV_F0\" is of a stage that this row doesn't compute");
  // Ranks with transports that ignore tags would get each other's contents: the order on the other
  // side is another one.
  EXPECT_EQ(refused(zero + "1RECV_F1,1RECV_F0,1F0,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"1RECV_F1\" is received before another message that row 1 "
            "sends earlier");
  // Complete, in order, and yet nobody moves: each waits for what the other sends later.
  EXPECT_EQ(refused("0F0,0SEND_F0,0RECV_B0,0B0,0F1,0SEND_F1,0RECV_B1,0B1\n1RECV_F0,1F0,1RECV_F1,"
                    "1F1,1B0,1SEND_B0,1B1,1SEND_B1\n"),
            "x.csv row 1, column 3: \"0RECV_B0\" waits forever: the ranks wait for each other");
  EXPECT_EQ(refused("0F0,0SEND_F0,1RECV_F0,1F0,1B0,0B0\n"),
            "x.csv row 1, column 2: \"0SEND_F0\" goes from a rank to itself");
  EXPECT_EQ(refused("0F0,0REDUCE_GRAD,0B0\n"),
            "x.csv row 1, column 2: \"0REDUCE_GRAD\" stands before the last backward of its stage");
  EXPECT_EQ(
      refused("0F0,0B0,0REDUCE_GRAD,0REDUCE_GRAD\n"),
      "x.csv row 1, column 4: \"0REDUCE_GRAD\" stands twice: the gradient would be scaled twice");
  EXPECT_EQ(refused(zero + "1RECV_F0,1F0,,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 3: is empty, which torch refuses in a schedule with comms");
  EXPECT_EQ(refused(zero + one, pytorch_form::compute_only),
            "x.csv row 1, column 2: \"0SEND_F0\" is no computation, and the file should have "
            "nothing else");
  EXPECT_EQ(refused("0F0,0B0\n1F0,1B0\n", pytorch_form::with_comms),
            "x.csv: has no sends and receives");
}

}  // namespace
