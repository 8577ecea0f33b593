#include "shunt/lower/stage_copies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/shards.hpp"

namespace shunt::tests::stage_copies_test {
namespace {

byte_count size_of_state(stage_id s) { return 3 + 2 * s.value(); }

per_stage sizes(std::int32_t stages) {
  std::vector<ticks> all;
  for (stage_id const s : ids<stage_id>(stages)) all.push_back(size_of_state(s));
  return per_stage(std::move(all));
}

std::uint8_t byte_of(stage_id s, byte_count i) {
  return static_cast<std::uint8_t>(s.value() * 31 + static_cast<std::int32_t>(i) * 7 + 1);
}

held_stages random_holders(random_cases& d, std::int32_t ranks, std::int32_t stages) {
  held_stages all(static_cast<std::size_t>(ranks));
  for (auto& held : all)
    for (stage_id const s : ids<stage_id>(stages))
      if (d.roll(0, 2) == 0) held.push_back(s);
  return all;
}

TEST(stage_copies, bring_every_rank_its_stages_and_leave_the_old_ones) {
  random_cases d(29);
  int moved = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    auto const ranks = d.roll(1, 6), stages = d.roll(1, 5);
    auto before = random_holders(d, ranks, stages);
    auto const after = random_holders(d, ranks, stages);
    for (stage_id const s : ids<stage_id>(stages)) {  // each has a holder
      auto& held = before[static_cast<std::size_t>(d.roll(0, ranks - 1))];
      if (std::find(held.begin(), held.end(), s) == held.end()) held.push_back(s);
      std::sort(held.begin(), held.end());
    }
    auto const copies = copies_between(before, after, d.roll(0, 3));
    auto const p = stage_copies{}(before, after, copies, sizes(stages));
    ASSERT_TRUE(check(p).empty());
    byte_count sent = 0;
    for (auto const& c : copies)
      sent += size_of_state(c.layer.value()) * static_cast<byte_count>(c.to.size());
    ASSERT_EQ(bytes_moved(p).network, sent);
    moved += sent > 0;
    shard_memory m(p);
    auto const each = [&](held_stages const& holders, auto const& buffer, auto const& visit) {
      for (rank_id const r : ids<rank_id>(ranks)) {
        std::int32_t chunk = 0;
        for (stage_id const s : holders[r.index()]) {
          for (byte_count i = 0; i < size_of_state(s); ++i)
            visit(r, buffer(r, chunk), i, byte_of(s, i));
          ++chunk;
        }
      }
    };
    auto const old = [](rank_id, std::int32_t chunk) { return pipeline_buffers::state(chunk); };
    auto const next = [&](rank_id r, std::int32_t chunk) {
      bool const same = before[r.index()] == after[r.index()];
      return same ? pipeline_buffers::state(chunk)
                  : stage_copies::arriving(chunk,
                                           static_cast<std::int32_t>(before[r.index()].size()));
    };
    auto const equal = [&](rank_id r, buffer_id b, byte_count i, std::uint8_t value) {
      ASSERT_EQ(m.read<std::uint8_t>(r, b, i), value);
    };
    each(before, old, [&](rank_id r, buffer_id b, byte_count i, std::uint8_t value) {
      m.write(r, b, i, value);
    });
    inline_executor{}.run(p, m);
    each(after, next, equal);
    each(before, old, equal);
  }
  EXPECT_GT(moved, 200);
}

TEST(stage_copies, come_from_the_receivers_node_then_from_the_lowest_rank) {
  held_stages const before{{0}, {}, {}, {0}, {}, {0}};
  held_stages const after{{0}, {}, {0}, {}, {0}, {}};
  EXPECT_EQ(copies_between(before, after), (std::vector<layer_copy>{{0, 0, {2, 4}}}));
  EXPECT_EQ(copies_between(before, after, 2), (std::vector<layer_copy>{{0, 3, {2}}, {0, 5, {4}}}));
  EXPECT_TRUE(copies_between({{}, {}}, {{0}, {}}).empty());  // nobody has it
}

TEST(stage_copies, ranks_that_keep_their_stages_do_nothing) {
  held_stages const both{{0, 1}, {2}};
  EXPECT_EQ(stage_copies{}(both, both, {}, 8).instructions(), 0U);
  EXPECT_EQ(stage_copies{}(both, {{0, 1}, {}}, {}, 8).instructions(), 0U);
}

TEST(stage_copies, refuse_what_can_not_be) {
  held_stages const before{{0}, {1}}, after{{0, 1}, {1}};
  auto const lowered = [&](std::vector<layer_copy> const& copies) {
    return thrown_by([&] { (void)stage_copies{}(before, after, copies, 8); });
  };
  EXPECT_EQ(lowered({{1, 1, {0}}}), "nothing thrown");
  EXPECT_EQ(lowered({}), "rank 0 needs layer 1 and doesn't receive it");
  EXPECT_EQ(lowered({{1, 0, {0}}}), "rank 0 doesn't hold layer 1");
  EXPECT_EQ(lowered({{1, 7, {0}}}), "rank 7 doesn't hold layer 1");
  EXPECT_EQ(lowered({{1, 1, {0}}, {0, 0, {1}}}), "rank 1 doesn't hold layer 0");
  EXPECT_EQ(field_of([&] { (void)stage_copies{}(before, {{0}}, {}, 8); }), "after");
  EXPECT_EQ(field_of([&] { (void)stage_copies{}({{3}}, {{3}}, {}, {8, 8}); }), "state");
}

}  // namespace
}  // namespace shunt::tests::stage_copies_test
