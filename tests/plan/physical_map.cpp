#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "shunt/plan/physical_map.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/expert_policies.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::physical_map_test {
namespace {

TEST(physical_map, arrays_as_eplb_has_them) {
  expert_placement const plan{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 2, 0, 1}};
  auto const map = shunt::physical_map_of(plan);
  EXPECT_EQ(map.physical_to_logical, (counts_list{0, 2, 0, 1}));
  EXPECT_EQ(map.replica_counts, (counts_list{2, 1, 1}));
  EXPECT_EQ(map.most_replicas, 2);
  EXPECT_EQ(map.logical_to_physical, (counts_list{0, 2, 3, -1, 1, -1}));
  counts_list const slots{2, 2};
  EXPECT_EQ(shunt::placement_of(map, slots), plan);
  auto bad = map;
  bad.physical_to_logical[1] = 3;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "phy2log[0][1]");
  bad = map;
  bad.physical_to_logical.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "phy2log");
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(map, counts_list{2, 3}); }), "phy2log");
  bad = map;
  bad.replica_counts[2] = 2;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "logcnt[0][2]");
  bad.replica_counts.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "logcnt");
  bad = map;
  std::swap(bad.logical_to_physical[0], bad.logical_to_physical[1]);  // any order will do
  EXPECT_EQ(shunt::placement_of(bad, slots), plan);
  bad.logical_to_physical[3] = 1;
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "log2phy[0][1]");
  bad.logical_to_physical.pop_back();
  EXPECT_EQ(field_of([&] { (void)shunt::placement_of(bad, slots); }), "log2phy");
  auto empty = plan;  // slot 1 holds nothing, nor does expert 2 have one
  empty.expert_of[1] = -1;
  auto const left = shunt::physical_map_of(empty);
  EXPECT_EQ(left.physical_to_logical, (counts_list{0, -1, 0, 1}));
  EXPECT_EQ(left.replica_counts, (counts_list{2, 1, 0}));
  EXPECT_EQ(left.logical_to_physical, (counts_list{0, 2, 3, -1, -1, -1}));
  EXPECT_EQ(shunt::placement_of(left, slots), empty);
  std::mt19937_64 random(20);
  for (int i = 0; i < 300; ++i) {
    auto const p = random_layers_with_previous(random, 10, false);
    auto const any = shunt::eplb{}(p).plan;
    EXPECT_EQ(shunt::placement_of(shunt::physical_map_of(any), p.slots_per_rank), any);
  }
}

TEST(physical_map, refuses_what_no_ranks_have) {
  physical_map const far{
      .layers = 1, .experts = 2147483647, .slots = 2, .physical_to_logical = {0, 2147483646}};
  auto const placed = [](physical_map const& map, std::vector<std::int32_t> slots) {
    return thrown_by([&] { (void)placement_of(map, slots); });
  };
  EXPECT_EQ(placed(far, {1, 1}), "phy2log: has 1 layers of 2 slots for 2147483647 experts");
  EXPECT_EQ(placed(far, {2147483647, 1}), "slots_per_rank[1]: is 1 after 2147483647 slots");
  EXPECT_EQ(placed(far, {3, -1}), "slots_per_rank[1]: is -1 after 3 slots");
}

}  // namespace
}  // namespace shunt::tests::physical_map_test
