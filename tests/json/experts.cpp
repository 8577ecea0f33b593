#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "shunt/json/experts.hpp"
#include "shunt/json/solution.hpp"
#include "support/json.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::experts_test {
namespace {

using nlohmann::json;

expert_layers complete() {
  return {.layers = 2,
          .experts = 3,
          .loads = {9, 6, 3, 5, 5, 5},
          .slots_per_rank = {2, 1, 1},
          .ranks_per_node = 2,
          .groups = 2,
          .previous = {0, 1, 2, 0, 2, 1, 0, 2},
          .history = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
          .sources = {3, 2, 1, 3, 2, 1, 3, 2, 1, 5, 0, 0, 0, 5, 0, 0, 0, 5}};
}

std::string refusal_of(char const* pointer, json value) {
  json document = complete();
  document[json::json_pointer(pointer)] = std::move(value);
  try {
    static_cast<void>(document.get<expert_layers>());
  } catch (shunt::invalid_problem const& error) {
    return error.what();
  }
  return "";
}

TEST(experts, layers_round_trip) {
  std::mt19937_64 random(71);
  auto const below = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
  };
  for (int i = 0; i < 64; ++i) {  // with and without each
    auto p = complete();
    for (auto& load : p.history) load = below(std::int64_t{1} << 55);
    if ((i & 1) == 0) p.ranks_per_node = 0;
    if ((i & 2) == 0) p.groups = 0;
    if ((i & 4) == 0) p.previous.clear();
    if ((i & 8) == 0) p.history.clear();
    if ((i & 16) == 0) p.sources.clear();
    if ((i & 32) == 0 && p.previous.empty()) p.slots_per_rank = {0, 4, 0};
    validate(p);
    json const document = p;
    EXPECT_EQ(document.get<expert_layers>(), p) << document.dump();
    std::istringstream text(document.dump());
    EXPECT_EQ(shunt::read_json<expert_layers>(text), p);
    EXPECT_EQ(document.contains("previous"), !p.previous.empty());
    EXPECT_EQ(document.contains("sources"), !p.sources.empty());
    EXPECT_EQ(document.contains("history"), !p.history.empty());
    EXPECT_EQ(document.contains("groups"), p.groups != 0);
    EXPECT_EQ(document.contains("ranks_per_node"), p.ranks_per_node != 0);
  }
}

TEST(experts, tables_read_as_written) {
  json const document = complete();
  EXPECT_EQ(document.at("previous"), json({{0, 1, 2, 0}, {2, 1, 0, 2}}));
  EXPECT_EQ(document.at("history"), json({{{1, 2, 3}, {4, 5, 6}}, {{7, 8, 9}, {10, 11, 12}}}));
  EXPECT_EQ(document.at("sources")[1], json({{5, 0, 0}, {0, 5, 0}, {0, 0, 5}}));
}

TEST(experts, refusals_of_layers_name_the_path) {
  EXPECT_EQ(refusal_of("/loads/1/2", 2.5), "loads[1][2]: must be a whole number, is 2.5");
  EXPECT_EQ(refusal_of("/loads/1", json::array({1, 2})), "loads[1]: has 2 values, must have 3");
  EXPECT_EQ(refusal_of("/loads", json::array({json::array({1, 2, 3})})),
            "loads: has 1 rows, must have 2");
  EXPECT_EQ(refusal_of("/loads/0/0", json::parse("99999999999999999999")),
            "loads[0][0]: must be a whole number, is 1e+20");
  EXPECT_EQ(refusal_of("/previous/0/3", "a"), "previous[0][3]: must be a whole number, is \"a\"");
  EXPECT_EQ(refusal_of("/previous/1", json::array({1})), "previous[1]: has 1 values, must have 4");
  EXPECT_EQ(refusal_of("/slots_per_rank/2", 2), "previous[0]: has 4 values, must have 5");
  EXPECT_EQ(refusal_of("/slots_per_rank", json::array({2147483647, 2147483647})),
            "slots_per_rank: adds up to 4294967294");
  EXPECT_EQ(refusal_of("/slots_per_rank", json::array({2147483647, 1, -5})),
            "slots_per_rank[2]: must be at least 0, is -5");
  EXPECT_EQ(refusal_of("/history/1/0", json::array({1, 2})),
            "history[1][0]: has 2 values, must have 3");
  EXPECT_EQ(refusal_of("/history/0", json::array({json::array({1, 2, 3})})),
            "history[0]: has 1 rows, must have 2");
  EXPECT_EQ(refusal_of("/sources/0/2/1", 0.5), "sources[0][2][1]: must be a whole number, is 0.5");
  EXPECT_EQ(refusal_of("/sources/0", json::array()), "sources[0]: has 0 rows, must have 3");
  EXPECT_EQ(refusal_of("/sources", json::array()), "sources: has 0 layers, must have 2");
  EXPECT_EQ(refusal_of("/groups", -1), "groups: must be at least 0, is -1");
  EXPECT_EQ(refusal_of("/ranks_per_node", "two"),
            "ranks_per_node: must be a whole number, is \"two\"");
  EXPECT_EQ(refusal_of("/budget", 3), "budget: is not known here");
}

TEST(experts, slots_of_layers_round_trip) {
  for (shunt::layer_slots const& plan :
       {shunt::layer_slots{}, shunt::layer_slots{.ranks = 3, .slots = {1, 2, 0, 3, 0, 0}}}) {
    json const document = plan;
    EXPECT_EQ(document.get<shunt::layer_slots>(), plan) << document.dump();
  }
  auto const complaint = [](char const* text) -> std::string {
    try {
      static_cast<void>(json::parse(text).get<shunt::layer_slots>());
    } catch (shunt::invalid_problem const& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(complaint(R"({"ranks": 2, "slots": [[1, 2], [3]]})"),
            "slots[1]: has 1 values, must have 2");
  EXPECT_EQ(complaint(R"({"ranks": 2, "slots": [[1, -2]]})"),
            "slots[0][1]: must be at least 0, is -2");
}

TEST(experts, round_trip) {
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

TEST(experts, refusals_name_the_path) {
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

}  // namespace
}  // namespace shunt::tests::experts_test
