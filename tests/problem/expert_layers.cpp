#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/shadow.hpp"
#include "shunt/solve/experts/spilled_groups.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/expert_problems.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::expert_layers_test {
namespace {

/// Two layers of three experts on three ranks of two slots, with everything that can be said.
expert_layers complete() {
  return {.layers = 2,
          .experts = 3,
          .loads = {9, 6, 3, 5, 5, 5},
          .slots_per_rank = {2, 2, 2},
          .ranks_per_node = 2,
          .groups = 2,
          .previous = {0, 1, 2, 0, 1, 2, 2, 1, 0, 2, 1, 0},
          .history = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
          .sources = {3, 2, 1, 3, 2, 1, 3, 2, 1, 5, 0, 0, 0, 5, 0, 0, 0, 5}};
}

/// The message of invalid_problem after a change, "field: what is wrong"; "accepted" otherwise.
/// Validate and all solvers must agree.
std::string refusal(std::function<void(expert_layers&)> const& change) {
  auto p = complete();
  change(p);
  auto const asked = [&](auto const& call) -> std::string {
    try {
      call();
    } catch (shunt::invalid_problem const& e) {
      return e.what();
    }
    return "accepted";
  };
  auto const text = asked([&] { validate(p); });
  EXPECT_EQ(asked([&] { (void)shunt::swift_moe{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::uniform{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::eplb{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::balanced{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::spilled_groups{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::incremental{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::flexmoe{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::lazarus{}(p); }), text);
  EXPECT_EQ(asked([&] { (void)shunt::shadow{}(p); }), text);
  return text;
}

TEST(expert_layers, a_complete_problem_is_accepted) {
  EXPECT_EQ(refusal([](auto&) {}), "accepted");
  EXPECT_EQ(complete().sources_of(1, 2)[2], 5);
  EXPECT_EQ(complete().sources_of(0, 1)[0], 3);
}

TEST(expert_layers, bad_loads_are_named) {
  EXPECT_EQ(refusal([](auto& p) { p.loads[4] = -5; }), "loads[1][1]: must be at least 0, is -5");
  EXPECT_EQ(refusal([](auto& p) { p.loads.pop_back(); }),
            "loads: has 5 values for 2 layers x 3 experts");  // a ragged row
  EXPECT_EQ(
      refusal([](auto& p) { p.loads[3] = p.loads[4] = std::numeric_limits<std::int64_t>::max(); }),
      "loads[1]: its sum times the slots is beyond 62 bits");
  EXPECT_EQ(refusal([](auto& p) { p.loads[3] = std::int64_t{1} << 59; }),
            "loads[1]: its sum times the slots is beyond 62 bits");
  EXPECT_EQ(refusal([](auto& p) { p.history[10] = -1; }),
            "history[1][1][1]: must be at least 0, is -1");
  EXPECT_EQ(refusal([](auto& p) { p.history.pop_back(); }),
            "history: has 11 values, no multiple of 2 layers x 3 experts");
  EXPECT_EQ(refusal([](auto& p) { p.history[0] = std::int64_t{1} << 61; }),
            "history[0][0]: its sum times the slots is beyond 62 bits");
}

TEST(expert_layers, bad_sources_are_named) {
  EXPECT_EQ(refusal([](auto& p) { p.sources[12] = -5; }),
            "sources[1][1][0]: must be at least 0, is -5");
  EXPECT_EQ(refusal([](auto& p) { p.sources[4] = 5; }),
            "sources[0][1][1]: takes the sum over sources beyond the load 6, is 5");
  EXPECT_EQ(refusal([](auto& p) { p.sources[8] = 0; }),
            "sources[0]: expert 2 adds up to 2, its load is 3");
  EXPECT_EQ(refusal([](auto& p) { p.sources.pop_back(); }),
            "sources: has 17 values for 2 layers x 3 ranks x 3 experts");
  EXPECT_EQ(
      refusal([](auto& p) { p.sources[0] = std::numeric_limits<std::int64_t>::max(); }),
      "sources[0][0][0]: takes the sum over sources beyond the load 9, is 9223372036854775807");
  EXPECT_EQ(refusal([](auto& p) { p.sources.clear(); }), "accepted");
}

TEST(expert_layers, bad_shapes_are_named) {
  EXPECT_EQ(refusal([](auto& p) { p.layers = 0; }), "layers: must be at least 1, is 0");
  EXPECT_EQ(refusal([](auto& p) { p.experts = -3; }), "experts: must be at least 1, is -3");
  EXPECT_EQ(refusal([](auto& p) { p.slots_per_rank.clear(); }), "slots_per_rank: names no rank");
  EXPECT_EQ(refusal([](auto& p) { p.slots_per_rank[1] = -2; }),
            "slots_per_rank[1]: must be at least 0, is -2");
  EXPECT_EQ(refusal([](auto& p) {
              p.slots_per_rank.assign(3, std::numeric_limits<std::int32_t>::max());
            }),
            "slots_per_rank: adds up beyond 31 bits");
  EXPECT_EQ(refusal([](auto& p) { p.ranks_per_node = -1; }),
            "ranks_per_node: must be at least 0, is -1");
  EXPECT_EQ(refusal([](auto& p) { p.groups = 4; }), "groups: must be from 0 to 3, is 4");
}

TEST(expert_layers, a_bad_previous_placement_is_named) {
  EXPECT_EQ(refusal([](auto& p) { p.previous.pop_back(); }),
            "previous: has 11 values for 2 layers x 6 slots");
  EXPECT_EQ(refusal([](auto& p) { p.slots_per_rank = {2, 2, 1}; }),
            "previous: has 12 values for 2 layers x 5 slots");
  EXPECT_EQ(refusal([](auto& p) { p.previous[8] = 3; }),
            "previous[1][2]: must be an expert below 3, or -1 for an empty slot, is 3");
  EXPECT_EQ(refusal([](auto& p) { p.previous[8] = -2; }),
            "previous[1][2]: must be an expert below 3, or -1 for an empty slot, is -2");
}

TEST(expert_layers, fewer_slots_than_experts_is_no_plan_and_says_why) {
  auto p = complete();
  p.previous.clear();
  p.groups = 0;
  p.slots_per_rank = {1, 0, 1};
  auto const expect_none = [&](auto const& answer) {
    EXPECT_EQ(answer.status, shunt::status::infeasible);
    EXPECT_EQ(answer.reason, "slots_per_rank: 2 slots for 3 experts");
    EXPECT_TRUE(answer.plan.expert_of.empty());
  };
  expect_none(shunt::swift_moe{}(p));
  expect_none(shunt::uniform{}(p));
  expect_none(shunt::eplb{}(p));
  expect_none(shunt::balanced{}(p));
  expect_none(shunt::spilled_groups{}(p));
  expect_none(shunt::incremental{}(p));
  expect_none(shunt::flexmoe{}(p));
  expect_none(shunt::lazarus{}(p));
  expect_none(shunt::shadow{}(p));
}

TEST(expert_layers, bad_ones_are_named_by_solvers) {
  auto const solved = [](expert_layers const& p) { return [p] { (void)shunt::swift_moe{}(p); }; };
  auto const good = one_layer({1, 2}, {1, 1});
  EXPECT_EQ(field_of(solved(good)), "nothing thrown");
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(field_of(solved(bad)), "layers");
  bad = good;
  bad.experts = -3;
  std::string text;
  EXPECT_EQ(field_of(solved(bad), &text), "experts");
  EXPECT_EQ(text, "experts: must be at least 1, is -3");
  bad = good;
  bad.slots_per_rank = {};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank");
  bad = good;
  bad.slots_per_rank = {3, -1};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank[1]");
  bad = good;
  bad.slots_per_rank = {std::numeric_limits<std::int32_t>::max(), 1};
  EXPECT_EQ(field_of(solved(bad)), "slots_per_rank");
  bad = good;
  bad.loads.push_back(1);  // ragged
  EXPECT_EQ(field_of(solved(bad)), "loads");
  bad = good;
  bad.loads[1] = -7;
  EXPECT_EQ(field_of(solved(bad), &text), "loads[0][1]");
  EXPECT_EQ(text, "loads[0][1]: must be at least 0, is -7");
  bad = good;
  bad.loads = {std::numeric_limits<std::int64_t>::max(), 1};
  EXPECT_EQ(field_of(solved(bad)), "loads[0]");
  EXPECT_EQ(field_of([&] { (void)shunt::uniform{}(bad); }), "loads[0]");
}

TEST(expert_layers, fewer_slots_than_experts_is_infeasible) {
  auto const p = one_layer({1, 2, 3}, {1, 0, 1});
  for (auto const& answer : {shunt::swift_moe{}(p), shunt::uniform{}(p)}) {
    EXPECT_EQ(answer.status, shunt::status::infeasible);
    EXPECT_EQ(answer.reason, "slots_per_rank: 2 slots for 3 experts");
    EXPECT_EQ(answer.plan, expert_placement{});
  }
}

}  // namespace
}  // namespace shunt::tests::expert_layers_test
