#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "shunt/json/pipeline.hpp"
#include "shunt/json/solution.hpp"
#include "support/json.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::pipeline_test {
namespace {

using nlohmann::json;

TEST(pipeline, job_round_trip) {
  expect_round_trip(pipeline_job{});
  expect_round_trip(pipeline_job{.pipelines = 3,
                                 .stages = 4,
                                 .microbatches = 6,
                                 .costs = {.forward = {1, 2, 3, 4},
                                           .backward_input = 2,
                                           .backward_weight = {0, 0, 0, 1},
                                           .step = 3},
                                 .transfer = std::numeric_limits<ticks>::max(),
                                 .memory = stash_cap::one_f_one_b(),
                                 .dead = {{1, 2}, {0, 3}}});
  expect_round_trip(pipeline_job{.memory = stash_cap::per_worker(5)});
}

TEST(pipeline, microbatches_are_a_number_or_a_list) {
  pipeline_job job{.pipelines = 3, .microbatches = 6};
  EXPECT_EQ(json(job)["microbatches"].dump(), "6");
  job.microbatches = {6, 6, 4};
  EXPECT_EQ(json(job)["microbatches"].dump(), "[6,6,4]");
  expect_round_trip(job);
  json broken = job;
  broken["microbatches"] = {6, "six", 4};
  EXPECT_NE(thrown_by([&] { (void)broken.get<pipeline_job>(); }).find("microbatches[1]"),
            std::string::npos);
}

TEST(pipeline, costs_by_worker_lengths_and_matrices_round_trip) {
  pipeline_job job{.pipelines = 2, .stages = 1, .microbatches = 2};
  job.costs.forward = {3, 6};
  job.lengths = {1, 2, 4, 1};
  job.transfer = transfer_times(2, {0, 3, 4, 0});
  expect_round_trip(job);
  json const document = job;
  EXPECT_EQ(document["costs"]["forward"].dump(), "[3,6]");
  EXPECT_EQ(document["lengths"].dump(), "[1,2,4,1]");
  EXPECT_EQ(document["transfer"].dump(), R"({"matrix":[[0,3],[4,0]]})");
  json broken = document;
  broken["transfer"]["matrix"] = json::parse("[[0, 3], [4]]");
  EXPECT_EQ(refusal<pipeline_job>(broken), "transfer.matrix: has 3 values in 2 rows");
  broken = document;
  broken["lengths"][1] = "two";
  EXPECT_EQ(refusal<pipeline_job>(broken), "lengths[1]: must be a whole number, is \"two\"");
  EXPECT_FALSE(json(pipeline_job{}).contains("lengths"));
}

TEST(pipeline, layouts_links_stashes_and_caps_round_trip) {
  pipeline_job job{.pipelines = 2, .stages = 4, .microbatches = 6};
  for (auto const& layout :
       {stage_layout::linear(), stage_layout::looped(2), stage_layout::looped(1),
        stage_layout::v_shaped(), stage_layout::wave(4), stage_layout::bidirectional(),
        stage_layout::custom({0, 1, 1, 0, 2, 3, 2, 3})}) {
    job.layout = layout;
    expect_round_trip(job);
  }
  job.costs.overlap_gain = 7;
  job.transfer = {1, 5, 8};
  job.stash = {.forward = {3, 4, 5, 6}, .backward_input = 2};
  job.memory = stash_cap::per_rank({5, 4, std::numeric_limits<std::int64_t>::max(), 1});
  expect_round_trip(job);
  json const document = job;
  EXPECT_EQ(document["layout"], json::parse(R"({"custom": [0, 1, 1, 0, 2, 3, 2, 3]})"));
  EXPECT_EQ(document["transfer"],
            json::parse(R"({"within_node": 1, "between_nodes": 5, "ranks_per_node": 8})"));
  EXPECT_EQ(document["costs"]["overlap_gain"], 7);
  EXPECT_EQ(document["stash"], json::parse(R"({"forward": [3, 4, 5, 6], "backward_input": 2})"));
  EXPECT_EQ(json(pipeline_job{.stages = 8, .layout = stage_layout::v_shaped()})["layout"],
            json::parse(R"({"wave": 2})"));
}

TEST(pipeline, overlapped_pairs_round_trip) {
  pipeline_schedule plan{.order = {{{op_kind::forward, 0, 0, 0},
                                    {op_kind::forward, 0, 0, 1},
                                    {op_kind::backward, 0, 0, 0}},
                                   {}},
                         .overlapped = {{1}, {}}};
  expect_round_trip(plan);
  EXPECT_EQ(json(plan)["overlapped"], json::parse("[[1], []]"));
  plan.overlapped = {};
  EXPECT_FALSE(json(plan).contains("overlapped"));
}

TEST(pipeline, bad_layouts_links_stashes_and_caps) {
  json const job = pipeline_job{.pipelines = 2, .stages = 4, .microbatches = 6};
  auto const broken = [&](char const* pointer, char const* value) {
    json copy = job;
    copy[json::json_pointer(pointer)] = json::parse(value);
    return refusal<pipeline_job>(copy);
  };
  EXPECT_EQ(broken("/layout", R"("spiral")"),
            "layout: is no layout: linear, bidirectional, {looped: chunks}, {wave: chunks} or "
            "{custom: [ranks]}");
  EXPECT_EQ(broken("/layout", "3"), "layout: must be an object, is 3");
  EXPECT_EQ(broken("/layout", R"({"looped": 2, "wave": 2})"), "layout.wave: is not known here");
  EXPECT_EQ(broken("/layout", R"({"looped": 2.5})"),
            "layout.looped: must be a whole number, is 2.5");
  EXPECT_EQ(broken("/layout", R"({"custom": [0, "one"]})"),
            "layout.custom[1]: must be a whole number, is \"one\"");
  EXPECT_EQ(broken("/layout", R"({"custom": [0, 4294967296]})"),
            "layout.custom[1]: 4294967296 is out of range");
  EXPECT_EQ(broken("/layout", "{}"), "layout.custom: is missing");
  EXPECT_EQ(broken("/transfer", R"({"within_node": 1, "between_nodes": 5})"),
            "transfer.ranks_per_node: is missing");
  EXPECT_EQ(broken("/transfer",
                   R"({"within_node": 1, "between_nodes": 5, "ranks_per_node": 8, "rack": 2})"),
            "transfer.rack: is not known here");
  EXPECT_EQ(broken("/transfer", R"("fast")"), "transfer: must be an object, is \"fast\"");
  EXPECT_EQ(broken("/stash", R"({"forward": [1, true]})"),
            "stash.forward[1]: must be a whole number, is true");
  EXPECT_EQ(broken("/stash", R"({"weights": 1})"), "stash.weights: is not known here");
  EXPECT_EQ(broken("/memory", "[1, 2.5]"), "memory[1]: must be a whole number, is 2.5");
  EXPECT_EQ(broken("/costs/overlap_gain", "[1]"),
            "costs.overlap_gain: must be a whole number, is a list of 1");
  // Reading looks at the form; the numbers are for validate.
  for (auto const& [pointer, value, field] :
       {std::tuple{"/layout", R"({"looped": 3})", "layout"},
        std::tuple{"/layout", R"({"wave": 0})", "layout"},
        std::tuple{"/layout", R"({"custom": [0, 1]})", "layout"},
        std::tuple{"/memory", "[1, 2]", "memory"},
        std::tuple{"/stash", R"({"forward": 0})", "stash.forward"},
        std::tuple{"/transfer", R"({"within_node": 1, "between_nodes": 2, "ranks_per_node": 0})",
                   "transfer.ranks_per_node"},
        std::tuple{"/costs/overlap_gain", "-1", "costs.overlap_gain"}}) {
    json copy = job;
    copy[json::json_pointer(pointer)] = json::parse(value);
    try {
      validate(copy.get<pipeline_job>());
      ADD_FAILURE() << pointer << " " << value << " passes";
    } catch (invalid_problem const& error) {
      EXPECT_EQ(error.field(), field) << error.what();
    }
  }
  EXPECT_EQ(refusal<pipeline_schedule>(
                json::parse(R"({"staggered_step": false, "order": [[]], "overlapped": [[-1]]})")),
            "overlapped[0][0]: must be at least 0, is -1");
  EXPECT_EQ(refusal<pipeline_schedule>(
                json::parse(R"({"staggered_step": false, "order": [[]], "overlapped": [3]})")),
            "overlapped[0]: must be a list, is 3");
}

TEST(pipeline, job_leaves_out_defaults) {
  auto const job =
      json::parse(R"({"pipelines": 2, "stages": 3, "microbatches": 4, "costs": {"step": 7}})")
          .get<pipeline_job>();
  EXPECT_EQ(job,
            (pipeline_job{.pipelines = 2, .stages = 3, .microbatches = 4, .costs = {.step = 7}}));
}

TEST(pipeline, schedules_round_trip) {
  random_cases d(7);
  auto const roll = [&](std::int32_t bound) { return d.roll(0, bound - 1); };
  for (int round = 0; round < 50; ++round) {
    solution<pipeline_schedule> answer{
        .status = static_cast<status>(roll(4)),
        .objective = roll(1000) / 7.0,
        .lower_bound = round == 0 ? -std::numeric_limits<double>::infinity() : roll(1000),
        .reason = round % 2 == 0 ? "" : "stage 2 \"has\" no\nworker"};
    answer.plan.staggered_step = roll(2) == 1;
    timetable table;
    for (int r = roll(5); r > 0; --r) {
      std::vector<operation> order;
      std::vector<interval> times;
      for (int i = roll(6); i > 0; --i) {
        order.push_back({static_cast<op_kind>(roll(op_kinds)), roll(3), roll(4), roll(6)});
        times.push_back({roll(100), roll(100)});
      }
      answer.plan.order.push_back(order);
      table.times.push_back(times);
    }
    expect_round_trip(answer);
    expect_round_trip(answer.plan);
    expect_round_trip(table);
  }
}

TEST(pipeline, refusals_name_the_path) {
  json job = pipeline_job{.pipelines = 3, .stages = 4, .microbatches = 6, .dead = {{1, 2}}};
  auto const broken = [&](char const* pointer, json value) {
    json copy = job;
    copy[json::json_pointer(pointer)] = std::move(value);
    return refusal<pipeline_job>(copy);
  };
  EXPECT_EQ(broken("/stages", "four"), "stages: must be a whole number, is \"four\"");
  EXPECT_EQ(broken("/stages", 4.5), "stages: must be a whole number, is 4.5");
  EXPECT_EQ(broken("/stages", std::int64_t{1} << 40), "stages: 1099511627776 is out of range");
  EXPECT_EQ(broken("/transfer", std::numeric_limits<std::uint64_t>::max()),
            "transfer: 18446744073709551615 is out of range");
  EXPECT_EQ(broken("/costs/forward", json::array({1, nullptr})),
            "costs.forward[1]: must be a whole number, is null");
  EXPECT_EQ(broken("/costs/sideways", 1), "costs.sideways: is not known here");
  EXPECT_EQ(broken("/memory", "lots"), "memory: must be a whole number, is \"lots\"");
  EXPECT_EQ(broken("/dead/0", json::array({1})),
            "dead[0]: must be a list of 2 values, is a list of 1");
  job.erase("microbatches");
  EXPECT_EQ(refusal<pipeline_job>(job), "microbatches: is missing");
  EXPECT_EQ(refusal<pipeline_job>(json(3)), "document: must be an object, is 3");
  EXPECT_EQ(refusal<pipeline_schedule>(json::parse(
                R"({"staggered_step": false, "order": [[], [{"kind": "forward", "pipeline": 0,
                "stage": 0, "microbatch": 0},
                {"kind": "dance", "pipeline": 0, "stage": 0, "microbatch": 0}]]})")),
            "order[1][1].kind: \"dance\" is none of its names");
  EXPECT_EQ(refusal<solution<pipeline_schedule>>(
                json::parse(R"({"plan": {"staggered_step": 1, "order": []}, "status": "optimal",
                "objective": 1, "lower_bound": 1, "reason": ""})")),
            "plan.staggered_step: must be true or false, is 1");
}

}  // namespace
}  // namespace shunt::tests::pipeline_test
