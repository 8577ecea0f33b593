#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "shunt/lower/gather_sources.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/reduction_groups.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/collection.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::gather_sources_test {
namespace {

TEST(gather_sources, vectors_of_the_placement_b) {
  auto const plan = shunt::swift_moe{}(
                        {.experts = 4, .loads = {700, 200, 60, 40}, .slots_per_rank = {2, 2, 2, 2}})
                        .plan;
  auto const hosts = shunt::hosts_of(plan, 0);
  auto const sources = [&](expert_id e) {
    std::vector<std::int32_t> list;
    for (rank_id r : shunt::ids<rank_id>(4))
      list.push_back(shunt::gradient_source(hosts[e], r).value());
    return list;
  };
  using list = std::vector<std::int32_t>;
  EXPECT_EQ(sources(0), (list{0, 1, 2, 0}));
  EXPECT_EQ(sources(1), (list{2, 2, 2, 2}));
  EXPECT_EQ(sources(2), (list{3, 3, 3, 3}));
  EXPECT_EQ(sources(3), (list{3, 3, 3, 3}));
}

TEST(gather_sources, spreads_over_the_hosts) {
  std::vector<shunt::expert_host> const hosts{{1, {0}}, {4, {0, 1}}};
  std::vector<std::int32_t> list;
  for (rank_id r : shunt::ids<rank_id>(7)) list.push_back(shunt::gradient_source(hosts, r).value());
  EXPECT_EQ(list, (std::vector<std::int32_t>{1, 1, 1, 4, 4, 4, 1}));
}

TEST(gather_sources, every_shard_has_one_source_which_is_local_where_it_can_be) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 300; ++i) {
    auto s = random_collection(random);
    auto const p = lower(s.state, s.now, s.shards,
                         gradient_collection{.form = collection_form::reduce_then_gather});
    for (rank_id r : shunt::ids<rank_id>(s.state.ranks))
      for (std::int32_t l = 0; l < s.now.layers; ++l) {
        std::vector<int> written(static_cast<std::size_t>(shunt::held_elements(s.shards, r)), 0);
        std::vector<bool> local(written.size(), false);
        for (auto const& instruction : p.ranks[r].instructions)
          for (region const& w : p.ranks[r].writes(instruction))
            if (w.buffer == shunt::buffer_id{3 * l + 1})
              for (byte_count x = w.offset / 8; x < (w.offset + w.size) / 8; ++x) {
                ++written[static_cast<std::size_t>(x)];
                local[static_cast<std::size_t>(x)] = instruction.code == opcode::copy;
              }
        auto const hosts = shunt::hosts_of(s.now, l);
        shunt::indexed<expert_id, int> sources(
            hosts.size());  // of each holder: one where the hosts have reduced, all of them
                            // otherwise
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          sources[e] = static_cast<int>(hosts[e].size());
        for (auto const& g : shunt::reduction_groups(s.now, l)) sources[g.expert] = 1;
        std::size_t at = 0;
        auto const hosted =
            s.now.layer(l).subspan(static_cast<std::size_t>(s.now.first_slot[r.index()]),
                                   static_cast<std::size_t>(s.now.first_slot[r.index() + 1] -
                                                            s.now.first_slot[r.index()]));
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          for (shard const& cut : s.shards.shards[e])
            if (cut.owner == r)
              for (std::int64_t x = 0; x < cut.size(); ++x, ++at) {
                EXPECT_EQ(written[at], sources[e]);
                if (sources[e] != 1) continue;
                EXPECT_EQ(local[at], std::find(hosted.begin(), hosted.end(), e) != hosted.end());
              }
      }
  }
}

TEST(gather_sources, neighbouring_groups_take_turns) {
  // six experts over 5 ranks with 3 slots; 0, 1, 3, 4 have two hosts or more, numbered 0 .. 3
  expert_placement const plan{.layers = 1,
                              .experts = 6,
                              .first_slot = {0, 3, 6, 9, 12, 15},
                              .expert_of = {0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5}};
  optimizer_state const state{.experts = 6, .ranks = 5, .elements = 5};
  auto const p = lower(state, plan, shunt::uniform_shards{}(state).plan,
                       gradient_collection{.form = collection_form::reduce_then_gather});
  auto const order = [&](rank_id r) {
    std::vector<std::vector<rank_id>> groups;
    for (auto const& i : p.ranks[r].instructions)
      if (i.code == opcode::all_reduce) groups.push_back(p.groups[i.group]);
    return groups;
  };
  using groups = std::vector<std::vector<rank_id>>;
  EXPECT_EQ(order(0), (groups{{0, 1}}));
  EXPECT_EQ(order(1), (groups{{0, 1}, {1, 2}}));
  EXPECT_EQ(order(2), (groups{{2, 3}, {1, 2}}));  // the third group is even, the second odd
  EXPECT_EQ(order(3), (groups{{2, 3}, {3, 4}}));
  EXPECT_EQ(order(4), (groups{{3, 4}}));
}

TEST(gather_sources, balanced_sources_send_as_few_messages_as_any_choice) {
  std::mt19937_64 random(7);
  int better = 0, tried = 0;
  for (int i = 0; i < 1500; ++i) {
    auto s = random_collection(random);
    if (below(random, 3) == 0)
      s.shards = shunt::mirrored_shards{.copies = std::min(2, s.state.ranks)}(s.state).plan;
    auto const ours = most_sent(s, 0, true), papers = most_sent(s, 0, false);
    EXPECT_LE(ours, papers);
    better += ours < papers;
    // brute force: every choice of sources for every holder that is no host
    auto const hosts = shunt::hosts_of(s.now, 0);
    auto const held = shunt::held_shards(s.shards, s.state.ranks);
    std::vector<bool> gathered(hosts.size(), false);
    for (expert_id e : shunt::ids<expert_id>(s.state.experts))
      gathered[e.index()] = hosts[e].size() == 1;
    for (auto const& g : shunt::reduction_groups(s.now, 0)) gathered[g.expert.index()] = true;
    std::vector<std::int64_t> sends(static_cast<std::size_t>(s.state.ranks), 0);
    std::vector<expert_id> open;
    double choices = 1;
    for (expert_id e : shunt::ids<expert_id>(s.state.experts))
      for (auto const& h : held[e]) {
        bool const own = std::any_of(hosts[e].begin(), hosts[e].end(),
                                     [&](auto const& x) { return x.rank == h.holder; });
        if (!gathered[e.index()])
          for (auto const& x : hosts[e]) sends[x.rank.index()] += x.rank != h.holder;
        else if (!own) {
          open.push_back(e);
          choices *= static_cast<double>(hosts[e].size());
        }
      }
    if (choices > 3000) continue;
    ++tried;
    std::int64_t best = std::int64_t{1} << 40;
    std::function<void(std::size_t)> const choose = [&](std::size_t k) {
      if (k == open.size()) {
        best = std::min(best, *std::max_element(sends.begin(), sends.end()));
        return;
      }
      for (auto const& h : hosts[open[k]]) {
        ++sends[h.rank.index()];
        choose(k + 1);
        --sends[h.rank.index()];
      }
    };
    choose(0);
    EXPECT_EQ(ours, best) << "case " << i;
  }
  EXPECT_GT(better, 50);
  EXPECT_GT(tried, 500);
}

}  // namespace
}  // namespace shunt::tests::gather_sources_test
