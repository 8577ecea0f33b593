#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "support/random_cases.hpp"
#include "support/shards.hpp"
#include "support/text.hpp"

namespace shunt::tests::shard_recovery_test {
namespace {

// Losses, again and again, as long as nothing is lost: the map stays valid, the copies are
// restored, and the state arrives where it should.
TEST(shard_recovery, restore_the_state_of_lost_ranks) {
  random_cases d(3);
  int refused = 0, restored = 0;
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    auto state = random_state(d, 9);
    state.state_bytes = 12;
    std::int32_t const copies = d.roll(1, std::min(3, state.ranks));
    auto map = mirrored_shards{.copies = copies}(state).plan;
    lost_ranks lost{.state = state, .dead = {}};
    while (static_cast<std::int32_t>(lost.dead.size()) + 1 < state.ranks) {
      for (std::int32_t n = d.roll(1, 2);
           n > 0 && static_cast<std::int32_t>(lost.dead.size()) + 1 < state.ranks; --n) {
        rank_id next = d.roll(0, state.ranks - 1);
        while (!lost.alive(next)) next = (next.value() + 1) % state.ranks;
        lost.dead.push_back(next);
      }
      auto const answer = restore_shards{.map = map}(lost);
      bool gone = false;
      for (auto const& shards : map.shards)
        for (shard const& s : shards)
          gone = gone ||
                 (!lost.alive(s.owner) && std::none_of(s.mirrors.begin(), s.mirrors.end(),
                                                       [&](rank_id r) { return lost.alive(r); }));
      ASSERT_EQ(answer.status == status::infeasible, gone) << std::string(answer.reason);
      if (gone) {
        EXPECT_NE(std::string(answer.reason).find("no live rank holds"), std::string::npos);
        ++refused;
        break;
      }
      ++restored;
      auto const& [after, moves] = answer.plan;
      EXPECT_EQ(lines(check(state, after)), "");
      auto const live = state.ranks - static_cast<std::int32_t>(lost.dead.size());
      for (auto const& shards : after.shards)
        for (shard const& s : shards) {
          EXPECT_EQ(1 + static_cast<std::int32_t>(s.mirrors.size()), std::min(copies, live));
          EXPECT_TRUE(lost.alive(s.owner));
        }
      std::int32_t const planes = d.roll(1, 3);
      auto const p = lower(state, map, answer.plan, state_recovery{.planes = planes});
      EXPECT_TRUE(check(p).empty());
      byte_count sent = 0;
      for (shard_copy const& c : moves) sent += (c.end - c.begin) * state.state_bytes;
      EXPECT_EQ(bytes_moved(p).network, sent);
      shard_memory m(p);
      auto const width = state.state_bytes / planes;
      auto const each_byte = [&](shard_map const& of, buffer_id buffer, auto const& f) {
        auto const places = held_shards(of, state.ranks);
        for (expert_id e : ids<expert_id>(state.experts))
          for (held_shard const& h : places[e]) {
            if (!lost.alive(h.holder)) continue;
            shard const& s = of.shards[e][static_cast<std::size_t>(h.shard)];
            for (std::int32_t q = 0; q < planes; ++q)
              for (std::int64_t i = 0; i < s.size() * width; ++i) {
                auto const expected = static_cast<std::uint8_t>(
                    e.value() * 31 + q * 7 + static_cast<std::int32_t>(s.begin * width + i) * 13);
                f(h.holder, buffer, (q * held_elements(of, h.holder) + h.offset) * width + i,
                  expected);
              }
          }
      };
      each_byte(map, 0, [&](rank_id r, buffer_id b, std::int64_t i, std::uint8_t value) {
        m.write(r, b, i, value);
      });
      inline_executor{}.run(p, m);
      each_byte(after, 1, [&](rank_id r, buffer_id b, std::int64_t i, std::uint8_t value) {
        ASSERT_EQ(m.read<std::uint8_t>(r, b, i), value);
      });
      map = after;
    }
  }
  EXPECT_GT(refused, 20);
  EXPECT_GT(restored, 200);
}

}  // namespace
}  // namespace shunt::tests::shard_recovery_test
