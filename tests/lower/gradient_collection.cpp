#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/communicators.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/reduction_groups.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/collection.hpp"
#include "support/program_machine.hpp"
#include "support/random_cases.hpp"
#include "support/shards.hpp"

namespace shunt::tests::gradient_collection_test {
namespace {

TEST(gradient_collection, gives_every_owner_the_sum_over_its_experts_instances) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 600; ++i) {
    auto const s = random_collection(random);
    ASSERT_TRUE(shunt::check(s.state, s.shards).empty());
    for (auto const& how : every_collection) {
      auto const p = lower(s.state, s.now, s.shards, how);
      program_machine m(p);
      std::vector<std::map<std::int32_t, std::vector<std::int64_t>>> sums(
          static_cast<std::size_t>(s.now.layers));
      for (std::int32_t l = 0; l < s.now.layers; ++l)
        for (std::int32_t slot = 0; slot < s.now.slots(); ++slot) {
          rank_id const r = s.now.rank_of(slot);
          auto& sum = sums[static_cast<std::size_t>(l)]
                          [s.now.layer(l)[static_cast<std::size_t>(slot)].value()];
          sum.resize(static_cast<std::size_t>(s.state.elements));
          for (std::int64_t x = 0; x < s.state.elements; ++x) {
            auto const value = below(random, 1 << 20) - (1 << 19);
            m.number(r, 3 * l, (slot - s.now.first_slot[r.index()]) * s.state.elements + x, value);
            sum[static_cast<std::size_t>(x)] += value;
          }
        }
      ASSERT_TRUE(m.run()) << "case " << i;
      for (std::int32_t l = 0; l < s.now.layers; ++l) {
        std::vector<std::int64_t> at(static_cast<std::size_t>(s.state.ranks), 0);
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          for (shard const& cut : s.shards.shards[e])
            for (std::int64_t x = cut.begin; x < cut.end; ++x) {
              auto const sum =
                  sums[static_cast<std::size_t>(l)][e.value()][static_cast<std::size_t>(x)];
              ASSERT_EQ(m.number(cut.owner, 3 * l + 1, at[cut.owner.index()]++), sum)
                  << "case " << i << " expert " << e.value();
            }
      }
    }
  }
}

TEST(gradient_collection, volumes_are_the_papers_whatever_the_placement) {
  std::mt19937_64 random(3);
  int below_plain = 0;
  for (int i = 0; i < 600; ++i) {
    auto const s = random_collection(random);
    byte_count const gradient = s.state.elements * s.state.gradient_bytes,
                     weight = s.state.elements * s.state.weight_bytes;
    byte_count const slots = s.now.slots() * s.now.layers;
    byte_count pairs_now = 0, pairs_next = 0, when_reduced = 0;
    for (layer_id l : shunt::ids<layer_id>(s.now.layers)) {
      pairs_now += shunt::hosted_pairs(s.now, l);
      pairs_next += shunt::hosted_pairs(s.next, l);
      for (auto const& hosts : shunt::hosts_of(s.now, l))
        when_reduced += static_cast<byte_count>(hosts.size());
      for (auto const& g : shunt::reduction_groups(
               s.now, l))  // all but one of the k copies travel twice, and then one does
        when_reduced += 2 * (static_cast<byte_count>(g.members.size()) - 1) + 1 -
                        static_cast<byte_count>(g.members.size());
    }
    auto const moved = [&](gradient_collection const& how) {
      return shunt::bytes_moved(lower(s.state, s.now, s.shards, how));
    };
    auto const scattered = [&](bool deduplicate) {
      return shunt::bytes_moved(
          lower(s.state, s.next, s.shards, weight_scatter{.deduplicate = deduplicate}));
    };

    auto const plain = moved({.deduplicate = false}), once = moved({.deduplicate = true});
    EXPECT_EQ(plain.logical(), slots * gradient);  // s N G
    EXPECT_EQ(plain.within, 0);
    EXPECT_EQ(once.logical(), pairs_now * gradient);
    EXPECT_EQ(once.within, (slots - pairs_now) * gradient);
    EXPECT_LE(once.network, plain.network);

    auto const plain_weights = scattered(false), once_weights = scattered(true);
    EXPECT_EQ(plain_weights.logical(), slots * weight);  // s N W
    EXPECT_EQ(plain_weights.within, 0);
    EXPECT_EQ(once_weights.logical(), pairs_next * weight);
    EXPECT_EQ(once_weights.within, (slots - pairs_next) * weight);
    EXPECT_LE(once_weights.network, plain_weights.network);
    // with one shard a rank, whoever shares a rank spares all shards but the rank's own
    bool const one_shard_a_rank =
        std::all_of(s.shards.shards.begin(), s.shards.shards.end(), [&](auto const& shards) {
          return static_cast<std::int32_t>(shards.size()) == s.state.ranks;
        });
    if (one_shard_a_rank && s.state.ranks > 1) {
      EXPECT_EQ(once.network < plain.network, pairs_now < slots);
      EXPECT_EQ(once_weights.network < plain_weights.network, pairs_next < slots);
      below_plain += pairs_now < slots;
    }

    auto const reduced = moved({.form = collection_form::reduce_then_gather});
    EXPECT_EQ(reduced.within, (slots - pairs_now) * gradient);
    EXPECT_EQ(reduced.logical(), when_reduced * gradient);
  }
  EXPECT_GT(below_plain, 50);
}

TEST(gradient_collection, sends_meet_receives_and_a_batch_is_one_run) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    auto const s = random_collection(random);
    std::vector<program> programs;
    for (auto how : every_collection) {
      how.batch = 7;
      how.channel = 3;
      programs.push_back(lower(s.state, s.now, s.shards, how));
    }
    for (bool const deduplicate : {false, true})
      programs.push_back(
          lower(s.state, s.next, s.shards,
                weight_scatter{.deduplicate = deduplicate, .channel = 3, .batch = 7}));
    for (auto const& p : programs) {
      for (auto const& violation : shunt::check(p))
        ADD_FAILURE() << "case " << i << ": " << to_string(violation);
      std::map<std::pair<rank_id, rank_id>, std::vector<byte_count>> sent, received;
      for (rank_id r : shunt::ids<rank_id>(s.state.ranks)) {
        std::vector<std::int32_t> runs;  // batches in the order in which they are met
        bool receiving = false;
        for (auto const& instruction : p.ranks[r].instructions) {
          bool const send = instruction.code == opcode::send,
                     receive = instruction.code == opcode::receive;
          EXPECT_EQ(instruction.batch >= 7, send || receive);
          if (runs.empty() || runs.back() != instruction.batch) {
            runs.push_back(instruction.batch);
            receiving = false;
          }
          EXPECT_FALSE(send && receiving);  // sends stand before receives
          receiving = receiving || receive;
          if (send || receive) {
            EXPECT_EQ(instruction.channel, 3);
            EXPECT_NE(instruction.peer, r);
          }
          if (send) sent[{r, instruction.peer}].push_back(p.ranks[r].reads(instruction)[0].size);
          if (receive)
            received[{instruction.peer, r}].push_back(p.ranks[r].writes(instruction)[0].size);
        }
        std::erase(runs, -1);
        EXPECT_TRUE(std::is_sorted(runs.begin(), runs.end()));
        EXPECT_EQ(std::adjacent_find(runs.begin(), runs.end()), runs.end());
      }
      EXPECT_EQ(sent, received);
    }
  }
}

TEST(gradient_collection, bad_lowering_is_named) {
  optimizer_state const state{.experts = 2, .ranks = 2, .elements = 4};
  auto const shards = shunt::uniform_shards{}(state).plan;
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 2}, .expert_of = {0, 1}};
  auto const field = [&](optimizer_state const& o, expert_placement const& where,
                         shard_map const& map, gradient_collection const& how = {}) {
    std::string collected = "nothing thrown";
    try {
      (void)lower(o, where, map, how);
    } catch (shunt::invalid_problem const& e) {
      collected = e.field();
    }
    return collected;
  };
  EXPECT_EQ(field(state, plan, shards), "nothing thrown");
  auto bad_state = state;
  bad_state.ranks = 3;
  EXPECT_EQ(field(bad_state, plan, shards), "placement.ranks");
  bad_state = state;
  bad_state.experts = 3;
  EXPECT_EQ(field(bad_state, plan, shards), "placement.experts");
  bad_state = state;
  bad_state.elements = 5;
  EXPECT_EQ(field(bad_state, plan, shards), "shards.elements");
  bad_state = state;
  bad_state.gradient_bytes = 4;
  EXPECT_EQ(field(bad_state, plan, shards), "gradient_bytes");
  EXPECT_EQ(field(bad_state, plan, shards, {.type = shunt::element::float32}), "nothing thrown");
  bad_state.weight_bytes = 0;
  EXPECT_EQ(field(bad_state, plan, shards), "weight_bytes");
  EXPECT_THROW((void)lower(bad_state, plan, shards, weight_scatter{}), shunt::invalid_problem);
  auto bad_shards = shards;
  bad_shards.shards.push_back({});
  EXPECT_EQ(field(state, plan, bad_shards), "shards.experts");
  shunt::program_builder b(2);
  EXPECT_THROW(gradient_collection{}(b, state, plan, 1, shards, expert_buffers{}),
               shunt::invalid_problem);
}

// Gradients come to every holder alike, weights from owners; the bytes are those of the formulas.
TEST(gradient_collection, mirrors_get_the_gradients_that_owners_get) {
  random_cases d(2);
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE(round);
    auto const state = random_state(d);
    std::int32_t const copies = d.roll(1, std::min(3, state.ranks));
    auto const map = mirrored_shards{.copies = copies}(state).plan;
    auto const placement = random_placement(d, state);
    for (auto const form : {collection_form::direct, collection_form::reduce_then_gather}) {
      auto const p = lower(state, placement, map,
                           gradient_collection{.form = form, .deduplicate = d.roll(0, 1) == 0});
      EXPECT_TRUE(check(p).empty());
      shard_memory m(p);
      std::vector<std::int64_t> sums(
          static_cast<std::size_t>(state.experts) * static_cast<std::size_t>(state.elements), 0);
      auto const hosts = hosts_of(placement, 0);
      for (expert_id e : ids<expert_id>(state.experts))
        for (expert_host const& h : hosts[e])
          for (std::int32_t const slot : h.slots)
            for (std::int64_t i = 0; i < state.elements; ++i) {
              std::int64_t const value = d.roll(-1000, 1000);
              m.write(h.rank, 0, slot * state.elements + i, value);
              sums[e.index() * static_cast<std::size_t>(state.elements) +
                   static_cast<std::size_t>(i)] += value;
            }
      inline_executor{}.run(p, m);
      auto const places = held_shards(map, state.ranks);
      for (expert_id e : ids<expert_id>(state.experts))
        for (held_shard const& h : places[e]) {
          shard const& s = map.shards[e][static_cast<std::size_t>(h.shard)];
          for (std::int64_t i = 0; i < s.size(); ++i)
            ASSERT_EQ(m.read<std::int64_t>(h.holder, 1, h.offset + i),
                      sums[e.index() * static_cast<std::size_t>(state.elements) +
                           static_cast<std::size_t>(s.begin + i)]);
        }
    }
    byte_count const slots = placement.slots();
    auto const plain = lower(state, placement, map, gradient_collection{.deduplicate = false});
    EXPECT_EQ(bytes_moved(plain).logical(), copies * slots * state.elements * state.gradient_bytes);
    auto const scatter = lower(state, placement, map, weight_scatter{.deduplicate = false});
    EXPECT_TRUE(check(scatter).empty());
    EXPECT_EQ(bytes_moved(scatter).logical(), slots * state.elements * state.weight_bytes);
  }
}

}  // namespace
}  // namespace shunt::tests::gradient_collection_test
