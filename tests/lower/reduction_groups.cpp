#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/communicators.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/reduction_groups.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "support/collection.hpp"

namespace shunt::tests::reduction_groups_test {
namespace {

TEST(reduction_groups, are_intervals_of_hosts_two_at_most_on_a_rank_and_two_rounds) {
  std::mt19937_64 random(6);
  int shared = 0, left_out = 0, second = 0;
  for (int i = 0; i < 600; ++i) {
    auto const s = random_collection(random);
    for (layer_id l : shunt::ids<layer_id>(s.now.layers)) {
      auto const hosts = shunt::hosts_of(s.now, l);
      auto const groups = shunt::reduction_groups(s.now, l);
      std::vector<std::vector<int>> taken(
          2, std::vector<int>(static_cast<std::size_t>(s.state.ranks), 0));
      std::vector<bool> has_group(hosts.size(), false);
      for (auto const& g : groups) {
        ASSERT_TRUE(g.round == 0 || g.round == 1);
        second += g.round;
        EXPECT_FALSE(has_group[g.expert.index()]);
        has_group[g.expert.index()] = true;
        ASSERT_EQ(g.members.size(), hosts[g.expert].size());
        EXPECT_GT(g.members.size(), 1U);
        for (std::size_t k = 0; k < g.members.size(); ++k) {
          EXPECT_EQ(g.members[k], hosts[g.expert][k].rank);
          EXPECT_EQ(g.members[k].value(), g.members[0].value() + static_cast<std::int32_t>(k));
          EXPECT_EQ(taken[static_cast<std::size_t>(g.round)][g.members[k].index()]++, 0);
        }
      }
      // with contiguous slots on all ranks nobody is left out; otherwise only_layer those who are
      // no interval or meet two others on some rank
      bool const slots_everywhere =
          std::adjacent_find(s.now.first_slot.begin(), s.now.first_slot.end()) ==
          s.now.first_slot.end();
      bool const contiguous =
          slots_everywhere && std::is_sorted(s.now.layer(l).begin(), s.now.layer(l).end());
      for (expert_id e : shunt::ids<expert_id>(hosts.size())) {
        if (hosts[e].size() < 2) continue;
        ++shared;
        left_out += !has_group[e.index()];
        if (has_group[e.index()]) continue;
        EXPECT_FALSE(contiguous);
        bool interval = true, both_taken[2] = {false, false};
        for (std::size_t k = 0; k < hosts[e].size(); ++k) {
          interval = interval && hosts[e][k].rank.value() ==
                                     hosts[e][0].rank.value() + static_cast<std::int32_t>(k);
          for (std::size_t round = 0; round < 2; ++round)
            both_taken[round] = both_taken[round] || taken[round][hosts[e][k].rank.index()] > 0;
        }
        EXPECT_TRUE(!interval || (both_taken[0] && both_taken[1]));
      }
      // the program that comes of it, as its judge sees it
      auto const one = only_layer(s.now, l);
      for (bool const balance : {false, true}) {
        auto const p = lower(
            s.state, one, s.shards,
            gradient_collection{.form = collection_form::reduce_then_gather, .balance = balance});
        for (auto const& v : shunt::check_communicators(p)) ADD_FAILURE() << to_string(v);
        EXPECT_TRUE(shunt::check_rendezvous(p).empty());
      }
      auto const direct = lower(s.state, one, s.shards, gradient_collection{});
      EXPECT_TRUE(direct.groups.empty());  // the form without groups
      EXPECT_TRUE(shunt::check_rendezvous(direct).empty());
      EXPECT_TRUE(shunt::check_rendezvous(lower(s.state, one, s.shards, weight_scatter{})).empty());
    }
  }
  EXPECT_GT(shared, 500);
  EXPECT_GT(left_out, 20);
  EXPECT_GT(shared - left_out, 200);
  EXPECT_GT(second, 50);
}

}  // namespace
}  // namespace shunt::tests::reduction_groups_test
