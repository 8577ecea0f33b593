#include "shunt/lower/layer_copies.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/shards.hpp"
#include "support/templates.hpp"

namespace shunt::tests::layer_copies_test {
namespace {

constexpr std::array<byte_count, 8> bytes{3, 0, 8, 1, 5, 2, 7, 4};

/// What the state of a layer looks like.
std::uint8_t byte_of(layer_id layer, byte_count i) {
  return static_cast<std::uint8_t>(layer.value() * 31 + static_cast<std::int32_t>(i) * 7 + 1);
}

// Loss after loss, as long as every layer is on a live rank: the state arrives where it is needed.
TEST(layer_copies, bring_every_rank_its_layers) {
  random_cases d(71);
  int moved = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    pipeline_losses losses{.pipelines = {}, .lost = {}, .minimum = 2};
    std::int32_t ranks = 0;
    for (auto p = d.roll(2, 4); p > 0; --p) {
      auto& members = losses.pipelines.emplace_back();
      for (auto i = d.roll(2, 5); i > 0; --i) members.push_back(ranks++);
    }
    std::set<std::int32_t> lost;
    while (std::ssize(lost) < d.roll(1, 3)) lost.insert(d.roll(0, ranks - 1));
    losses.lost.assign(lost.begin(), lost.end());
    auto const& templates = templates_of_b();
    auto const answer = oobleck_reconfigure{.templates = templates}(losses);
    if (!answer.has_plan()) continue;
    auto const p = lower(losses, templates, answer.plan, bytes);
    ASSERT_TRUE(check(p).empty());
    byte_count sent = 0;
    for (auto const& c : answer.plan.copies)
      sent += bytes[c.layer.index()] * static_cast<byte_count>(c.to.size());
    ASSERT_EQ(bytes_moved(p).network, sent);
    moved += sent > 0;
    shard_memory m(p);
    auto const each_byte = [&](auto const& pipelines, buffer_id buffer, auto const& visit) {
      auto const held = placed_layers(pipelines, templates, bytes, ranks);
      for (std::int32_t r = 0; r < ranks; ++r)
        for (auto const& place : held[static_cast<std::size_t>(r)])
          for (byte_count i = 0; i < bytes[place.layer.index()] && !lost.contains(r); ++i)
            visit(r, buffer, place.offset + i, byte_of(place.layer, i));
    };
    each_byte(losses.pipelines, 0, [&](rank_id r, buffer_id b, byte_count i, std::uint8_t value) {
      m.write(r, b, i, value);
    });
    inline_executor{}.run(p, m);
    each_byte(answer.plan.pipelines, 1,
              [&](rank_id r, buffer_id b, byte_count i, std::uint8_t value) {
                ASSERT_EQ(m.read<std::uint8_t>(r, b, i), value);
              });
  }
  EXPECT_GT(moved, 100);
}

TEST(layer_copies, refuse_what_can_not_be) {
  pipeline_losses const losses{.pipelines = {{0, 1}, {2, 3, 4}}, .lost = {4}, .minimum = 2};
  auto const& templates = templates_of_b();
  auto const plan = oobleck_reconfigure{.templates = templates}(losses).plan;  // [0,1][2,3]
  auto const thrown = [&](auto const& change) {
    auto other = plan;
    change(other);
    return thrown_by([&] { (void)lower(losses, templates, other, bytes); });
  };
  EXPECT_EQ(thrown([](auto&) {}), "nothing thrown");
  EXPECT_EQ(thrown([](auto& p) { p.copies.clear(); }),
            "rank 2 needs layer 3 and doesn't receive it");
  EXPECT_EQ(thrown([](auto& p) { p.copies[0].from = 4; }), "rank 4 doesn't hold layer 3");
  EXPECT_EQ(thrown([](auto& p) { p.copies[0].to = {3}; }), "rank 3 doesn't hold layer 3");
  EXPECT_EQ(thrown([](auto& p) { p.pipelines[0][0] = 9; }),
            "a pipeline with rank 9, which was in none");
  EXPECT_EQ(field_of([&] { (void)lower(losses, {}, plan, bytes); }), "templates");
  std::vector<byte_count> const few{1, 2, 3};
  EXPECT_EQ(field_of([&] { (void)lower(losses, templates, plan, few); }), "bytes[3]");
}

}  // namespace
}  // namespace shunt::tests::layer_copies_test
