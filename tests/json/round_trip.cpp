// Values to JSON and back are equal, through text too; what doesn't fit is refused by its path.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <tuple>

#include "shunt/json.hpp"
#include "shunt/program/builder.hpp"

namespace {

using namespace shunt;
using nlohmann::json;

template <class T>
void expect_round_trip(T const& value) {
  json const document = value;
  EXPECT_EQ(document.get<T>(), value) << document.dump();
  std::istringstream text(document.dump());
  EXPECT_EQ(read_json<T>(text), value) << document.dump();
}

/// The path and the complaint with which a document is refused, or "" where it is not.
template <class T>
std::string refusal(json const& document) {
  try {
    static_cast<void>(document.get<T>());
    return "";
  } catch (invalid_problem const& error) {
    return error.what();
  }
}

struct dice {
  std::mt19937_64 bits{7};
  std::int32_t operator()(std::int32_t below) {
    return static_cast<std::int32_t>(bits() % static_cast<std::uint64_t>(below));
  }
};

TEST(json_pipeline, job_round_trip) {
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

TEST(json_pipeline, layouts_links_stashes_and_caps_round_trip) {
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

TEST(json_pipeline, overlapped_pairs_round_trip) {
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

TEST(json_pipeline, bad_layouts_links_stashes_and_caps) {
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

TEST(json_pipeline, job_leaves_out_defaults) {
  auto const job =
      json::parse(R"({"pipelines": 2, "stages": 3, "microbatches": 4, "costs": {"step": 7}})")
          .get<pipeline_job>();
  EXPECT_EQ(job,
            (pipeline_job{.pipelines = 2, .stages = 3, .microbatches = 4, .costs = {.step = 7}}));
}

TEST(json_pipeline, schedules_round_trip) {
  dice roll;
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

TEST(json_pipeline, refusals_name_the_path) {
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
                "stage": 0, "microbatch": 0}, {"kind": "dance", "pipeline": 0, "stage": 0, "microbatch": 0}]]})")),
            "order[1][1].kind: \"dance\" is none of its names");
  EXPECT_EQ(refusal<solution<pipeline_schedule>>(
                json::parse(R"({"plan": {"staggered_step": 1, "order": []}, "status": "optimal",
                "objective": 1, "lower_bound": 1, "reason": ""})")),
            "plan.staggered_step: must be true or false, is 1");
}

TEST(json_pipeline, text_that_is_no_json) {
  for (char const* text : {"", "{", "[1, 2", "{} {}"}) {
    std::istringstream in(text);
    EXPECT_THROW(static_cast<void>(read_json<pipeline_job>(in, "job.json")), invalid_problem)
        << text;
  }
}

TEST(json_experts, round_trip) {
  expect_round_trip(expert_layers{.layers = 2,
                                  .experts = 3,
                                  .loads = {5, 0, std::int64_t{1} << 60, 1, 2, 3},
                                  .slots_per_rank = {2, 2, 0}});
  expect_round_trip(optimizer_state{.experts = 4, .ranks = 3, .elements = 1000003});
  expert_placement const placement{
      .layers = 2, .experts = 2, .first_slot = {0, 2, 3}, .expert_of = {0, 0, 1, 0, 1, 1}};
  expect_round_trip(placement);
  expect_round_trip(expert_placement{});
  expect_round_trip(solution<expert_placement>{
      .plan = placement, .status = status::optimal, .objective = 1.1, .lower_bound = 0.1 + 0.2});
  expect_round_trip(token_split{.sources = 2,
                                .slots = 3,
                                .experts = 2,
                                .tokens = {1, 2, 3, 4, 5, 6},
                                .dropped = {7, 0, 0, 9}});
  expect_round_trip(
      shard_map{.elements = 10, .shards = {{{0, 0, 5}, {1, 5, 10}}, {}, {{2, 0, 10}}}});
}

TEST(json_experts, refusals_name_the_path) {
  json const good = expert_placement{
      .layers = 2, .experts = 2, .first_slot = {0, 2, 3}, .expert_of = {0, 0, 1, 0, 1, 1}};
  auto const broken = [&](char const* pointer, json value) {
    json copy = good;
    copy[json::json_pointer(pointer)] = std::move(value);
    return refusal<expert_placement>(copy);
  };
  EXPECT_EQ(broken("/expert_of/1", json::array({0, 1})), "expert_of[1]: has 2 values, must have 3");
  EXPECT_EQ(broken("/layers", 3), "expert_of: has 2 rows, must have 3");
  EXPECT_EQ(broken("/first_slot/1", 4), "first_slot[2]: must be at least 4, is 3");
  EXPECT_EQ(broken("/first_slot/0", 1), "first_slot: must begin with 0");
  EXPECT_EQ(broken("/first_slot", json::array()), "first_slot: must begin with 0");
  EXPECT_EQ(broken("/expert_of/0/1", -0.5), "expert_of[0][1]: must be a whole number, is -0.5");
}

TEST(json_program, round_trip) {
  dice roll;
  for (int round = 0; round < 30; ++round) {
    int const ranks = 2 + roll(3);
    program_builder build(ranks);
    for (rank_id r : ids<rank_id>(ranks)) {
      auto const a = build.buffer(r, 64, true);
      auto const b = build.buffer(r, std::int64_t{1} << 40);
      rank_id const other = (r.value() + 1) % ranks;
      auto const group = build.group({0, 1});
      auto const first =
          build.compute(r, {static_cast<op_kind>(roll(op_kinds)), roll(3), roll(3), roll(3)},
                        {{a, 0, 8}}, {build.all_of(r, b)});
      build.send(r, other, {a, 8, 8}, roll(3), {.lane = 1, .batch = roll(2), .after = {first}});
      build.receive(r, other, {b, 0, 8});
      build.copy(r, {a, 0, 8}, {b, 8, 8});
      build.add(r, element::int64, {a, 0, 8}, {b, 8, 8});
      build.fill(r, {b, 0, 64});
      build.all_reduce(r, group, element::float64, reduction::max, {a, 0, 64});
      build.reduce_scatter(r, group, element::int32, reduction::sum, {a, 0, 64}, {a, 0, 32});
      build.all_gather(r, group, {a, 0, 32}, {a, 0, 64});
      build.exchange(r, group, {a, 0, 64}, {b, 0, 16}, {a, 0, 64}, {b, 16, 16});
    }
    expect_round_trip(std::move(build).finish());
  }
}

TEST(json_program, slices_stay_in_their_tables) {
  program_builder build(1);
  auto const b = build.buffer(0, 8);
  build.fill(0, {b, 0, 8});
  json const good = std::move(build).finish();
  auto const broken = [&](char const* pointer, json value) {
    json copy = good;
    copy[json::json_pointer(pointer)] = std::move(value);
    return refusal<program>(copy);
  };
  EXPECT_EQ(broken("/ranks/0/instructions/0/writes", json::array({0, 2})),
            "ranks[0].instructions[0].writes: leaves its table of 1");
  EXPECT_EQ(broken("/ranks/0/instructions/0/writes", json::array({-1, 1})),
            "ranks[0].instructions[0].writes[0]: must be at least 0, is -1");
  EXPECT_EQ(broken("/ranks/0/instructions/0/after", json::array({1, 1})),
            "ranks[0].instructions[0].after: leaves its table of 0");
  EXPECT_EQ(broken("/ranks/0/instructions/0/lane", 256),
            "ranks[0].instructions[0].lane: 256 is out of range");
  EXPECT_EQ(broken("/ranks/0/buffers/0/1", 1),
            "ranks[0].buffers[0][1]: must be true or false, is 1");
}

TEST(json_program, timeline_round_trip) {
  timeline all{.seconds_per_tick = 1e-9};
  all.events.push_back(
      {.rank = 3, .iteration = 2, .instruction = 1, .code = opcode::send, .start = 5, .end = 9});
  all.events.push_back({.rank = 4,
                        .op = {op_kind::backward_weight, 1, 2, 3},
                        .start = -5,
                        .end = std::int64_t{1} << 62});
  expect_round_trip(all);
}

}  // namespace
