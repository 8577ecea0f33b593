#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "support/collection.hpp"
#include "support/program_machine.hpp"

namespace shunt::tests::weight_scatter_test {
namespace {

TEST(weight_scatter, fills_every_slot_of_the_next_placement) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 600; ++i) {
    auto const s = random_collection(random);
    for (bool const deduplicate : {false, true}) {
      auto const p = lower(s.state, s.next, s.shards, weight_scatter{.deduplicate = deduplicate});
      program_machine m(p);
      auto const width = static_cast<std::size_t>(s.state.weight_bytes);
      std::map<std::pair<std::int32_t, std::int32_t>, std::vector<unsigned char>> weights;
      for (std::int32_t l = 0; l < s.next.layers; ++l) {
        std::vector<std::size_t> at(static_cast<std::size_t>(s.state.ranks), 0);
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          for (shard const& cut : s.shards.shards[e])
            for (std::size_t b = 0; b < static_cast<std::size_t>(cut.size()) * width; ++b)
              weights[{l, e.value()}].push_back(
                  m.memory(cut.owner, 2 * l + 1)
                      .at(at[cut.owner.index()]++));  // noise is as good as any
      }
      ASSERT_TRUE(m.run()) << "case " << i;
      for (std::int32_t l = 0; l < s.next.layers; ++l)
        for (std::int32_t slot = 0; slot < s.next.slots(); ++slot) {
          rank_id const r = s.next.rank_of(slot);
          auto const& wanted =
              weights[{l, s.next.layer(l)[static_cast<std::size_t>(slot)].value()}];
          auto const begin =
              m.memory(r, 2 * l).begin() +
              (slot - s.next.first_slot[r.index()]) * static_cast<std::ptrdiff_t>(wanted.size());
          EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), begin))
              << "case " << i << " slot " << slot;
        }
    }
  }
}

}  // namespace
}  // namespace shunt::tests::weight_scatter_test
