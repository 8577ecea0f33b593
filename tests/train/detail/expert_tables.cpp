#include "shunt/train/detail/expert_tables.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "support/dense_on_streams.hpp"
#include "support/routed_tokens_case.hpp"

namespace shunt::tests::expert_tables_test {
namespace {

TEST(expert_tables, a_device_has_the_placement_and_the_owners) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    routed_tokens_case const c(seed);
    least_device device(seed);
    detail::expert_tables<least_device> tables;
    tables.set(device, c.shape, c.placement, c.owners);
    auto const to = tables.tables(0);
    auto const& live = c.routing.live();
    ASSERT_EQ(to.live, static_cast<std::int32_t>(live.size()));
    EXPECT_EQ(to.part_rows, c.part_rows());
    EXPECT_EQ(to.microbatches, c.ranks);
    for (std::int32_t s = 0; s < to.slots; ++s) {
      EXPECT_EQ(to.expert_of[s], c.placement.expert_of[static_cast<std::size_t>(s)].value());
      EXPECT_EQ(live[static_cast<std::size_t>(to.host_of[s])], c.placement.rank_of(s));
    }
    for (std::int32_t peer = 0; peer < to.live; ++peer) {
      auto const r = live[static_cast<std::size_t>(peer)];
      EXPECT_EQ(tables.peer_of(r), peer);
      EXPECT_EQ(to.first_slot[peer], c.placement.first_slot[r.index()]);
      std::int32_t at = to.first_owned[peer];
      for (auto const k : c.owners.owned_by(r)) EXPECT_EQ(to.owned[at++], k);
      EXPECT_EQ(at, to.first_owned[peer + 1]);
    }
  }
}

}  // namespace
}  // namespace shunt::tests::expert_tables_test
