#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/pytorch.hpp"

namespace shunt::tests::read_pytorch_csv_test {
namespace {

TEST(read_pytorch_csv, round_trips) {
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

TEST(read_pytorch_csv, overlapped_pairs_round_trip) {
  pipeline_job const job{.stages = 8,
                         .microbatches = 10,
                         .costs = {.overlap_gain = 1},
                         .layout = stage_layout::v_shaped()};
  auto const answer = dual_pipe_v{}(job);
  ASSERT_FALSE(answer.plan.overlapped.empty());
  EXPECT_NE(compute_only(job, answer.plan).find(")OVERLAP_F_B"), std::string::npos);
  expect_round_trip(job, answer.plan, "dual_pipe_v");
}

TEST(read_pytorch_csv, custom_layouts_round_trip) {
  auto const back = read_pytorch("0F0,0F1,3F0,3B0,3F1,3B1,0B0,0B1\n"
                                 "1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\n");
  EXPECT_EQ(back.job.layout, stage_layout::v_shaped());  // recognised
  EXPECT_TRUE(check(back.job, back.schedule).empty());
  auto const odd = read_pytorch("0F0,2F0,2B0,0B0\n1F0,1B0\n");
  EXPECT_EQ(odd.job.layout, stage_layout::custom({0, 1, 0}));
  EXPECT_TRUE(check(odd.job, odd.schedule).empty());
  EXPECT_EQ(compute_only(odd.job, odd.schedule), "0F0,2F0,2B0,0B0\n1F0,1B0\n");
  EXPECT_EQ(with_comms(odd.job, odd.schedule, 0, pytorch_release::v2_14),
            "0F0,0SEND_F0,2RECV_F0,2F0,2B0,2SEND_B0,0RECV_B0,2REDUCE_GRAD,0B0,0REDUCE_GRAD\n"
            "1RECV_F0,1F0,1SEND_F0,1RECV_B0,1B0,1SEND_B0,1REDUCE_GRAD\n");
}

TEST(read_pytorch_csv, what_torch_writes_reads) {
  // As csv.writer does it: carriage returns, idle cells; UNSHARD and RESHARD where parameters are
  // sharded.
  auto const plain = read_pytorch("0F0,0F1,,,0B0,0B1\r\n,1F0,1B0,1F1,1B1,\r\n");
  EXPECT_TRUE(check(plain.job, plain.schedule).empty());
  EXPECT_EQ(compute_only(plain.job, plain.schedule), "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  auto const sharded = read_pytorch("0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0RESHARD,0REDUCE_GRAD\r\n"
                                    "1UNSHARD,1RECV_F0,1F0,1B0,1SEND_B0,1RESHARD,1REDUCE_GRAD\r\n");
  EXPECT_EQ(sharded.schedule, read_pytorch("0F0,0B0\n1F0,1B0\n").schedule);
  EXPECT_EQ(sharded.form, pytorch_form::with_comms);
  auto const reduced =
      read_pytorch("0F0,0B0,0REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD\n");  // its GPipe and 1F1B
  EXPECT_EQ(reduced.form, pytorch_form::compute_only);
  EXPECT_EQ(reduced.schedule, sharded.schedule);
  EXPECT_EQ(refused_pytorch("0F0,0B0,0REDUCE_GRAD\n", pytorch_form::compute_only),
            "x.csv row 1, column 3: \"0REDUCE_GRAD\" is no computation, and the file should have "
            "nothing else");
}

// Dumps of PyTorch 2.15.0, as _dump_csv wrote them (tests/data/README.md).
TEST(read_pytorch_csv, dumps_of_every_schedule_of_torch_read) {
  std::size_t read = 0;
  std::string const folder = SHUNT_TEST_DATA "/pytorch";
  for (auto const& file : std::filesystem::directory_iterator(folder)) {
    auto const path = file.path().string();
    if (path.find("_deferred") != path.npos) continue;
    auto const back = read_pytorch_csv_file(path, pytorch_form::with_comms, pytorch_release::v2_15);
    EXPECT_EQ(check(back.job, back.schedule), std::vector<pipeline_violation>{}) << path;
    EXPECT_EQ(back.job.stages % 2, 0) << path;
    ++read;
    // What is written for either release reads as the same plan.
    for (auto const release : {pytorch_release::v2_14, pytorch_release::v2_15})
      EXPECT_EQ(read_pytorch(with_comms(back.job, back.schedule, 0, release)).schedule,
                back.schedule)
          << path;
  }
  EXPECT_EQ(read, 17U);
}

TEST(read_pytorch_csv, deferred_dumps_that_deadlock_or_overtake_are_refused) {
  auto const why = [](std::string const& name) {
    return refusal_or_nothing(
        [&] { static_cast<void>(read_pytorch_csv_file(SHUNT_TEST_DATA "/pytorch/" + name)); });
  };
  EXPECT_NE(why("Interleaved1F1B_2x4_deferred.csv")
                .find("row 1, column 12: \"2SEND_F1\" waits forever where a send waits for its "
                      "receive: it needs 3RECV_F1, which stands behind \"3SEND_B0\" (row 2, "
                      "column 12), which needs 2RECV_B0"),
            std::string::npos);
  EXPECT_NE(
      why("ZBVZeroBubble_2x4_deferred.csv")
          .find("row 2, column 11: \"2RECV_B0\" is received before another message that row 1 "
                "sends earlier"),
      std::string::npos);
}

TEST(read_pytorch_csv, waits_are_all_there_or_none) {
  std::string const zero = "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0WAIT_SEND_F0,0RECV_B1,0B1,"
                           "0WAIT_SEND_F1,0REDUCE_GRAD,0WAIT_REDUCE_GRAD\n",
                    one = "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1WAIT_SEND_B0,1F1,1B1,1SEND_B1,"
                          "1REDUCE_GRAD,1WAIT_SEND_B1,1WAIT_REDUCE_GRAD\n";
  EXPECT_EQ(read_pytorch(zero + one).release, pytorch_release::v2_15);
  auto const without = [](std::string text, std::string const& action) {
    return text.erase(text.find(action), action.size());
  };
  auto const why = [&](std::string const& text) { return refused_pytorch(text); };
  EXPECT_EQ(why(without(zero, "0WAIT_SEND_F1,") + one),
            "x.csv row 1, column 4: \"0SEND_F1\" has no wait, which torch demands since 2.15");
  EXPECT_EQ(why(zero + without(one, "1WAIT_SEND_B0,")),
            "x.csv row 2, column 5: \"1SEND_B0\" has no wait, which torch demands since 2.15");
  EXPECT_EQ(why(without(zero, ",0WAIT_REDUCE_GRAD") + one),
            "x.csv row 1, column 11: \"0REDUCE_GRAD\" has no wait, which torch demands since 2.15");
  EXPECT_EQ(why(without(zero, "0REDUCE_GRAD,") + one),
            "x.csv row 1, column 11: \"0WAIT_REDUCE_GRAD\" waits for a reduction that isn't in "
            "progress");
  EXPECT_EQ(why("0WAIT_SEND_F0," + without(zero, "0WAIT_SEND_F0,") + one),
            "x.csv row 1, column 1: \"0WAIT_SEND_F0\" stands before its send");
  EXPECT_EQ(why("0WAIT_SEND_F0," + zero + one),
            "x.csv row 1, column 8: \"0WAIT_SEND_F0\" stands twice");
  EXPECT_EQ(why("0WAIT_SEND_B0," + zero + one),
            "x.csv row 1, column 1: \"0WAIT_SEND_B0\" waits for a send that isn't there");
  EXPECT_EQ(why("0F0,1F0,1B0,1REDUCE_GRAD,0B0,0REDUCE_GRAD,1WAIT_REDUCE_GRAD,0WAIT_REDUCE_GRAD\n"),
            "x.csv row 1, column 6: \"0REDUCE_GRAD\" begins before the wait for \"1REDUCE_GRAD\", "
            "and torch has one reduction in progress");
  // Between releases: none of the two takes the other's file.
  EXPECT_EQ(refused_pytorch(zero + one, pytorch_form::any, pytorch_release::v2_14),
            "x.csv row 1, column 7: \"0WAIT_SEND_F0\" is no action of torch 2.14");
  EXPECT_EQ(refused_pytorch("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n",
                            pytorch_form::any, pytorch_release::v2_15),
            "x.csv row 1, column 2: \"0SEND_F0\" has no wait, which torch demands since 2.15");
  EXPECT_EQ(read_pytorch("0F0,0B0\n1F0,1B0\n", pytorch_form::any, pytorch_release::v2_15).release,
            std::nullopt);
}

TEST(read_pytorch_csv, marks_and_quotes_read_like_plain_text) {
  auto const plain = read_pytorch("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n");
  EXPECT_EQ(read_pytorch("\xef\xbb\xbf"
                         "0F0,0F1,,,0B0,0B1\r\n1F0,1B0,1F1,1B1,,\r\n")
                .schedule,
            plain.schedule);
  // As csv.writer with QUOTE_ALL does it, which csv.reader reads.
  EXPECT_EQ(
      read_pytorch("\"0F0\",\"0F1\",\"0B0\",\"0B1\"\n\"1F0\",\"1B0\",\"1F1\",\"1B1\"\n").schedule,
      plain.schedule);
  EXPECT_EQ(refused_pytorch("0F0,\"0B0\n"),
            "x.csv row 1, column 2: begins with a quote that has no end");
  EXPECT_EQ(refused_pytorch("\x1f\x8b"), "x.csv: is compressed; unpack it first: gunzip -k x.csv");
}

TEST(read_pytorch_csv, whatever_is_missing_is_named) {
  // The last rank of PyTorch 2.14's Schedule1F1B runs F1 .. Fm.
  EXPECT_EQ(
      refused_pytorch("0F0,0F1,0B0,0B1\n1F1,1B0,1F2,1B1\n"),
      "x.csv row 1: has no forward of micro-batch 2 at stage 0, which row 2, column 3 computes");
  EXPECT_EQ(
      refused_pytorch("0F0,0F1,0B0,0B1\n1F1,1B0,1F1,1B1\n"),
      "x.csv row 2: has no forward of micro-batch 0 at stage 1, which row 1, column 1 computes");
  EXPECT_EQ(refused_pytorch("0F0,0F2,0B0,0B2\n"),
            "x.csv row 1: has no forward of micro-batch 1 at stage 0");
  EXPECT_EQ(refused_pytorch("0F0,0F1,0B0\n"),
            "x.csv row 1: has no backward of micro-batch 1 at stage 0");
  EXPECT_EQ(refused_pytorch("0F0,0I0\n"),
            "x.csv row 1: has no backward_weight of micro-batch 0 at stage 0");
  EXPECT_EQ(refused_pytorch("0F0,0W0\n"),
            "x.csv row 1: has no backward of micro-batch 0 at stage 0");
  EXPECT_EQ(refused_pytorch("0F0,0B0\n2F0,2B0\n"), "x.csv: has no row for stage 1");
  EXPECT_EQ(refused_pytorch("0F0,0B0\n1F0,0B0\n"),
            "x.csv row 2, column 2: \"0B0\" is of a stage that row 1 holds");
  EXPECT_EQ(refused_pytorch("0F0,0B0\n0UNSHARD\n"), "x.csv row 2: computes nothing");
  EXPECT_EQ(refused_pytorch("0F0,0B0,1UNSHARD\n1F0,1B0\n"),
            "x.csv row 1, column 3: \"1UNSHARD\" is of a stage that this row doesn't compute");
  EXPECT_EQ(refused_pytorch("0F0,0B0,7RESHARD\n"),
            "x.csv row 1, column 3: \"7RESHARD\" is of a stage that this row doesn't compute");
}

TEST(read_pytorch_csv, check_judges_the_rest) {
  auto const first_rule = [](std::string const& text) {
    auto const back = read_pytorch(text);
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

TEST(read_pytorch_csv, transfers_are_checked) {
  // Good: 0F0,0SEND_F0,0F1,0RECV_B0,0SEND_F1,0B0,0RECV_B1,0B1 and
  // 1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1
  std::string const zero = "0F0,0SEND_F0,0F1,0RECV_B0,0SEND_F1,0B0,0RECV_B1,0B1\n",
                    one = "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n";
  EXPECT_EQ(refused_pytorch(zero + one), "");
  EXPECT_EQ(refused_pytorch("0F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n" + one),
            "x.csv row 1, column 1: \"0F0\" is never sent on: 0SEND_F0 is missing");
  EXPECT_EQ(refused_pytorch(zero + "1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"1F0\" never gets its input: 1RECV_F0 is missing");
  EXPECT_EQ(refused_pytorch(zero + "1RECV_F0,1F0,1B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 3: \"1B0\" is never sent on: 1SEND_B0 is missing");
  EXPECT_EQ(refused_pytorch("0SEND_F0,0F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n" + one),
            "x.csv row 1, column 1: \"0SEND_F0\" stands before what it sends");
  EXPECT_EQ(refused_pytorch(zero + "1F0,1RECV_F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 2: \"1RECV_F0\" stands behind what needs it");
  EXPECT_EQ(
      refused_pytorch(zero + "1RECV_F0,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
      "x.csv row 2, column 2: \"1RECV_F0\" stands twice");
  EXPECT_EQ(refused_pytorch("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1,0SEND_B1\n" + one),
            "x.csv row 1, column 9: \"0SEND_B1\" has nobody to send to");
  EXPECT_EQ(
      refused_pytorch(zero + "1RECV_F0,1F0,1SEND_F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
      "x.csv row 2, column 3: \"1SEND_F0\" has nobody to send to");
  EXPECT_EQ(
      refused_pytorch(zero + "1RECV_F7,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
      "x.csv row 2, column 1: \"1RECV_F7\" is of a micro-batch that is never computed");
  EXPECT_EQ(
      refused_pytorch(zero + "0RECV_F0,1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
      "x.csv row 2, column 1: \"0RECV_F0\" is of a stage that this row doesn't compute");
  // Ranks with transports that ignore tags would get each other's contents: the order on the other
  // side is another one.
  EXPECT_EQ(refused_pytorch(zero + "1RECV_F1,1RECV_F0,1F0,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 1: \"1RECV_F1\" is received before another message that row 1 "
            "sends earlier");
  // Complete, in order, and yet nobody moves: each waits for what the other sends later.
  EXPECT_EQ(
      refused_pytorch("0F0,0SEND_F0,0RECV_B0,0B0,0F1,0SEND_F1,0RECV_B1,0B1\n1RECV_F0,1F0,1RECV_F1,"
                      "1F1,1B0,1SEND_B0,1B1,1SEND_B1\n"),
      "x.csv row 1, column 3: \"0RECV_B0\" waits forever: it needs 1SEND_B0, which stands behind "
      "\"1RECV_F1\" (row 2, column 3), which needs 0SEND_F1, which stands behind \"0RECV_B0\"");
  EXPECT_EQ(refused_pytorch("0F0,0SEND_F0,1RECV_F0,1F0,1B0,0B0\n"),
            "x.csv row 1, column 2: \"0SEND_F0\" goes from a rank to itself");
  EXPECT_EQ(refused_pytorch("0F0,0REDUCE_GRAD,0B0\n"),
            "x.csv row 1, column 2: \"0REDUCE_GRAD\" stands before the last backward of its stage");
  EXPECT_EQ(
      refused_pytorch("0F0,0B0,0REDUCE_GRAD,0REDUCE_GRAD\n"),
      "x.csv row 1, column 4: \"0REDUCE_GRAD\" stands twice: the gradient would be scaled twice");
  EXPECT_EQ(refused_pytorch(zero + "1RECV_F0,1F0,,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 2, column 3: is empty, which torch refuses in a schedule with comms");
  EXPECT_EQ(refused_pytorch(zero + one, pytorch_form::compute_only),
            "x.csv row 1, column 2: \"0SEND_F0\" is no computation, and the file should have "
            "nothing else");
  EXPECT_EQ(refused_pytorch("0F0,0B0\n1F0,1B0\n", pytorch_form::with_comms),
            "x.csv: has no sends and receives");
}

// One stream a rank, on which a transfer ends with its other end, as batch_isend_irecv has it over
// NCCL.
TEST(read_pytorch_csv, sends_that_wait_for_each_other_are_refused) {
  // Stages 0 and 2 on one rank, 1 and 3 on the other: both send before they receive.
  std::string const two_sends =
      "0F0,0SEND_F0,0F1,0SEND_F1,2RECV_F0,2F0,2SEND_F0,2RECV_F1,2F1,2SEND_F1,2RECV_B0,2B0,"
      "2SEND_B0,2RECV_B1,2B1,2SEND_B1,0RECV_B0,0B0,0RECV_B1,0B1\n"
      "1RECV_F0,1F0,1SEND_F0,1RECV_F1,1F1,1SEND_F1,3RECV_F0,3F0,3B0,3SEND_B0,3RECV_F1,3F1,3B1,"
      "3SEND_B1,1RECV_B0,1B0,1SEND_B0,1RECV_B1,1B1,1SEND_B1\n";
  EXPECT_FALSE(ends_under_rendezvous(two_sends));
  EXPECT_EQ(refused_pytorch(two_sends),
            "x.csv row 1, column 4: \"0SEND_F1\" waits forever where a send waits for its receive: "
            "it needs 1RECV_F1, which stands behind \"1SEND_F0\" (row 2, column 3), which needs "
            "2RECV_F0, which stands behind \"0SEND_F1\"");
  // One rank receives before it sends: both end, in the order of PyTorch's own lowering.
  EXPECT_EQ(refused_pytorch("0F0,0SEND_F0,0F1,0RECV_B0,0SEND_F1,0B0,0RECV_B1,0B1\n"
                            "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "");
  // 1F1B whose ranks both send first.
  EXPECT_EQ(refused_pytorch("0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
                            "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n"),
            "x.csv row 1, column 4: \"0SEND_F1\" waits forever where a send waits for its receive: "
            "it needs 1RECV_F1, which stands behind \"1SEND_B0\" (row 2, column 4), which needs "
            "0RECV_B0, which stands behind \"0SEND_F1\"");
}

// Stages 1 and 4 on one rank. Row 1 only waits for the cycle of the others.
TEST(read_pytorch_csv, a_cycle_of_three_is_named_without_those_who_wait_for_it) {
  EXPECT_EQ(
      refused_pytorch("0F0,0F1,0SEND_F0,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
                      "1RECV_F0,1F0,1SEND_F0,4RECV_F0,4F0,1RECV_F1,1F1,1SEND_F1,4RECV_F1,4F1,4B0,"
                      "4SEND_B0,4B1,4SEND_B1,1RECV_B0,1B0,1SEND_B0,1RECV_B1,1B1,1SEND_B1\n"
                      "2RECV_F0,2F0,2SEND_F0,2RECV_F1,2F1,2SEND_F1,2RECV_B0,2B0,2SEND_B0,2RECV_B1,"
                      "2B1,2SEND_B1\n"
                      "3RECV_F0,3F0,3RECV_F1,3F1,3SEND_F0,3SEND_F1,3RECV_B0,3B0,3SEND_B0,3RECV_B1,"
                      "3B1,3SEND_B1\n"),
      "x.csv row 2, column 4: \"4RECV_F0\" waits forever: it needs 3SEND_F0, which stands behind "
      "\"3RECV_F1\" (row 4, column 3), which needs 2SEND_F1, which stands behind \"2RECV_F1\" "
      "(row 3, column 4), which needs 1SEND_F1, which stands behind \"4RECV_F0\"");
}

}  // namespace
}  // namespace shunt::tests::read_pytorch_csv_test
