#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::microbatch_owners_test {
namespace {

// Tokens belong to micro-batches: each has one carrier, live ranks keep their own, and nobody
// carries two more than another.
TEST(microbatch_owners, take_what_dead_ranks_brought) {
  random_cases d(5);
  for (int round = 0; round < 300; ++round) {
    std::int32_t const ranks = d.roll(1, 12);
    std::vector<rank_id> dead;
    for (rank_id r : ids<rank_id>(ranks))
      if (d.roll(0, 2) == 0 && static_cast<std::int32_t>(dead.size()) + 1 < ranks)
        dead.push_back(r);
    auto const owners = owners_without(dead, ranks);
    ASSERT_EQ(owners.microbatches(), ranks);
    std::int32_t least = ranks, most = 0, all = 0;
    for (rank_id r : ids<rank_id>(ranks)) {
      auto const mine = owners.owned_by(r);
      bool const gone = std::find(dead.begin(), dead.end(), r) != dead.end();
      EXPECT_EQ(owners.alive(r), !gone);
      all += static_cast<std::int32_t>(mine.size());
      for (auto const k : mine) EXPECT_EQ(owners.of[static_cast<std::size_t>(k)], r);
      if (gone) continue;
      EXPECT_EQ(owners.of[r.index()], r);
      least = std::min(least, static_cast<std::int32_t>(mine.size()));
      most = std::max(most, static_cast<std::int32_t>(mine.size()));
    }
    EXPECT_EQ(all, ranks);
    EXPECT_LE(most - least, 1);
    EXPECT_EQ(owners.most(), most);
    EXPECT_EQ(owners.live().size(), static_cast<std::size_t>(ranks) - dead.size());
  }
  EXPECT_THROW((void)owners_without({}, 0), invalid_problem);
  EXPECT_THROW((void)owners_without({2}, 2), invalid_problem);
  EXPECT_THROW((void)owners_without({0, 1}, 2), invalid_problem);
}

}  // namespace
}  // namespace shunt::tests::microbatch_owners_test
