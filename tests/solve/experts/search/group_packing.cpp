#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/solve/experts/search/group_packing.hpp"

namespace shunt::tests::group_packing_test {
namespace {

using namespace detail;

TEST(group_packing, heavy_groups_go_to_the_lightest_node_first) {
  expert_layers const p{.experts = 8,
                        .loads = std::vector<std::int64_t>(8, 1),
                        .slots_per_rank = {2, 2, 2, 2},
                        .ranks_per_node = 2,
                        .groups = 4};
  group_packing pack(p);
  std::vector<std::int64_t> const loads{9, 0, 5, 0, 4, 0, 1, 0};  // groups of two: 9 5 4 1
  auto const node_of = pack(loads);
  EXPECT_EQ(std::vector<std::size_t>(node_of.begin(), node_of.end()),
            (std::vector<std::size_t>{0, 1, 1, 0}));
  EXPECT_EQ(pack.group_of(5), 2u);
  EXPECT_EQ(pack.group_loads()[1], 5);
  EXPECT_EQ(pack.slots()[1], 4);
}

TEST(group_packing, nothing_where_a_group_finds_no_node_with_slots) {
  expert_layers const p{.experts = 4,
                        .loads = {1, 1, 1, 1},
                        .slots_per_rank = {1, 3},
                        .ranks_per_node = 1,
                        .groups = 2};
  group_packing pack(p);
  EXPECT_TRUE(pack(p.loads).empty());
}

}  // namespace
}  // namespace shunt::tests::group_packing_test
