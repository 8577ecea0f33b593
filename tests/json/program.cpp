#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include <nlohmann/json.hpp>

#include "shunt/json/program.hpp"
#include "shunt/program/builder.hpp"
#include "support/json.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::program_test {
namespace {

using nlohmann::json;

TEST(program, round_trip) {
  random_cases d(7);
  auto const roll = [&](std::int32_t bound) { return d.roll(0, bound - 1); };
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
      auto const channel = roll(3);
      build.send(r, other, {a, 8, 8}, channel, {.lane = 1, .batch = roll(2), .after = {first}});
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

TEST(program, slices_stay_in_their_tables) {
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

TEST(program, timeline_round_trip) {
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
}  // namespace shunt::tests::program_test
