#include "shunt/train/detail/token_routing.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

#include "support/routed_tokens_case.hpp"

namespace shunt::tests::token_routing_test {
namespace {

TEST(token_routing, every_token_arrives_once_in_a_slot_of_its_expert) {
  std::int64_t sent = 0, dropped = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    routed_tokens_case const c(seed);
    auto const& live = c.routing.live();
    std::vector<std::set<std::int64_t>> expected(live.size());  // rows that arrive, by host
    for (std::size_t source = 0; source < live.size(); ++source)
      for (auto const& rows : c.rows_of(live[source]))
        for (auto const row : rows) {
          if (row < 0) {
            ++dropped;
            continue;
          }
          ++sent;
          // The part for a host lies in the host's part for the source.
          auto const host = static_cast<std::size_t>(row / c.part_rows());
          ASSERT_LT(host, live.size());
          auto const there =
              static_cast<std::int64_t>(source) * c.part_rows() + row % c.part_rows();
          EXPECT_TRUE(expected[host].insert(there).second) << "two tokens in one row";
        }
    for (std::size_t host = 0; host < live.size(); ++host) {
      std::set<std::int64_t> found;
      for (auto const& runs : c.routing.arrivals(c.shares, live[host]))
        for (auto const& run : runs)
          for (std::int64_t k = 0; k < run.count; ++k)
            EXPECT_TRUE(found.insert(run.row + k).second) << "two slots have one row";
      EXPECT_EQ(found, expected[host]);
    }
  }
  EXPECT_GT(sent, 2000);
  EXPECT_GT(dropped, 500);
}

TEST(token_routing, bytes_to_slots_come_back_from_them) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    routed_tokens_case const c(seed);
    auto const& live = c.routing.live();
    std::vector<std::vector<std::int64_t>> to(live.size()), from(live.size());
    for (std::size_t k = 0; k < live.size(); ++k) {
      to[k].resize(live.size());
      from[k].resize(live.size());
      c.routing.count_bytes(c.shares, live[k], true, 12, to[k]);
      c.routing.count_bytes(c.shares, live[k], false, 12, from[k]);
    }
    std::int64_t all = 0;
    for (std::size_t a = 0; a < live.size(); ++a)
      for (std::size_t b = 0; b < live.size(); ++b) {
        EXPECT_EQ(to[a][b], from[b][a]);
        all += to[a][b];
      }
    EXPECT_EQ(all, 12 * std::accumulate(c.shares.begin(), c.shares.end(), std::int64_t{0}));
  }
}

}  // namespace
}  // namespace shunt::tests::token_routing_test
