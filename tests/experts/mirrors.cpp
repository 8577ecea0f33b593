// Shards of the optimizer's state: tied to replicas, within nodes, mirrored, and what becomes of
// them when ranks are lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/shards/hierarchical_shards.hpp"
#include "shunt/solve/shards/mirrored_shards.hpp"
#include "shunt/solve/shards/replica_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"

namespace shunt {
namespace {

class dice {
 public:
  explicit dice(std::uint64_t seed) : source_(seed) {}
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(source_() % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  std::mt19937_64 source_;
};

optimizer_state random_state(dice& d, std::int32_t most_ranks = 7) {
  return {.experts = d.roll(1, 6), .ranks = d.roll(1, most_ranks), .elements = d.roll(1, 40)};
}

expert_placement random_placement(dice& d, optimizer_state const& state) {
  expert_layers layers{.experts = state.experts, .loads = {}, .slots_per_rank = {}};
  for (std::int32_t e = 0; e < state.experts; ++e) layers.loads.push_back(d.roll(0, 90));
  for (std::int32_t r = 0; r < state.ranks; ++r) layers.slots_per_rank.push_back(d.roll(0, 3));
  while (std::accumulate(layers.slots_per_rank.begin(), layers.slots_per_rank.end(), 0) <
         state.experts)
    ++layers.slots_per_rank[static_cast<std::size_t>(d.roll(0, state.ranks - 1))];
  return swift_moe{}(layers).plan;
}

std::string lines(std::vector<shard_violation> const& found) {
  std::string text;
  for (auto const& v : found) text += to_string(v) + "\n";
  return text;
}

std::vector<std::int64_t> held(shard_map const& map, std::int32_t ranks) {
  std::vector<std::int64_t> sum;
  for (rank_id r : ids<rank_id>(ranks)) sum.push_back(held_elements(map, r));
  return sum;
}

/// Memory for every rank and nothing to compute.
struct memory {
  explicit memory(program const& p) {
    for (auto const& rank : p.ranks) {
      auto& buffers = of.emplace_back();
      for (auto const& b : rank.buffers)
        buffers.emplace_back(static_cast<std::size_t>(b.size), std::byte{0xEE});
    }
  }
  void operator()(rank_id, task const&) {}
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return of[r.index()][b.index()]; }
  template <class T>
  T read(rank_id r, buffer_id b, std::int64_t index) {
    T value;
    std::memcpy(&value, buffer(r, b).data() + index * static_cast<std::int64_t>(sizeof(T)),
                sizeof(T));
    return value;
  }
  template <class T>
  void write(rank_id r, buffer_id b, std::int64_t index, T value) {
    std::memcpy(buffer(r, b).data() + index * static_cast<std::int64_t>(sizeof(T)), &value,
                sizeof(T));
  }
  std::vector<std::vector<std::vector<std::byte>>> of;
};

TEST(shards, of_every_solver_are_valid_and_above_their_bound) {
  dice d(1);
  for (int round = 0; round < 300; ++round) {
    auto const state = random_state(d);
    mirrored_shards const mirrored{.copies = d.roll(1, state.ranks)};
    for (auto const& answer :
         {mirrored(state), hierarchical_shards{.ranks_per_node = d.roll(1, 4)}(state),
          replica_shards{.placement = random_placement(d, state)}(state)}) {
      EXPECT_EQ(lines(check(state, answer.plan)), "");
      auto const on = held(answer.plan, state.ranks);
      EXPECT_EQ(answer.objective,
                static_cast<double>(*std::max_element(on.begin(), on.end()) * state.state_bytes));
      EXPECT_GE(answer.objective, answer.lower_bound);
      EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
    }
    auto const on = held(mirrored(state).plan, state.ranks);
    EXPECT_EQ(std::accumulate(on.begin(), on.end(), std::int64_t{0}),
              mirrored.copies * state.elements * state.experts);
  }
}

TEST(shards, of_a_node_stay_on_it) {
  optimizer_state const state{.experts = 6, .ranks = 8, .elements = 12};
  auto const answer = hierarchical_shards{.ranks_per_node = 4}(state);
  EXPECT_EQ(answer.status, status::optimal);  // three experts a node, three elements of each a rank
  for (expert_id e : ids<expert_id>(6)) {
    ASSERT_EQ(answer.plan.shards[e].size(), 4u);
    for (shard const& s : answer.plan.shards[e]) EXPECT_EQ(s.owner.value() / 4, e.value() % 2);
  }
}

TEST(shards, of_replicas_follow_the_hosts) {
  optimizer_state const state{.experts = 2, .ranks = 3, .elements = 7};
  expert_placement const placement{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 2, 3}, .expert_of = {0, 0, 1}};
  auto const plan = replica_shards{.placement = placement}(state).plan;
  EXPECT_EQ(plan.shards[0], (std::vector<shard>{{.owner = 0, .begin = 0, .end = 4},
                                                {.owner = 1, .begin = 4, .end = 7}}));
  EXPECT_EQ(plan.shards[1], (std::vector<shard>{{.owner = 2, .begin = 0, .end = 7}}));
  EXPECT_THROW(
      (void)replica_shards{.placement = placement}({.experts = 2, .ranks = 4, .elements = 7}),
      invalid_problem);
}

TEST(shards, need_as_many_ranks_as_copies) {
  auto const answer = mirrored_shards{.copies = 4}({.experts = 1, .ranks = 3, .elements = 9});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(std::string(answer.reason), "4 copies need as many ranks, there are 3");
  EXPECT_THROW((void)mirrored_shards{.copies = 0}({}), invalid_problem);
}

TEST(shards, with_wrong_mirrors_are_found) {
  optimizer_state const state{.experts = 1, .ranks = 3, .elements = 9};
  auto plan = mirrored_shards{.copies = 2}(state).plan;
  plan.shards[0][1].mirrors = {1, 2, 2, 7};
  EXPECT_EQ(lines(check(state, plan)),
            "expert 0, shard 1: mirror 1 of 3 ranks isn't one, or holds it already\n"
            "expert 0, shard 1: mirror 2 of 3 ranks isn't one, or holds it already\n"
            "expert 0, shard 1: mirror 7 of 3 ranks isn't one, or holds it already\n");
}

// Gradients come to every holder alike, weights from owners; the bytes are those of the formulas.
TEST(mirrors, get_the_gradients_that_owners_get) {
  dice d(2);
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
      memory m(p);
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

// Losses, again and again, as long as nothing is lost: the map stays valid, the copies are
// restored, and the state arrives where it should.
TEST(mirrors, restore_the_state_of_lost_ranks) {
  dice d(3);
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
      memory m(p);
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

// Chained declustering: what a lost rank owned is shared by all survivors, not by its neighbour
// alone.
TEST(mirrors, share_the_work_of_a_lost_rank_evenly) {
  optimizer_state const state{.experts = 14,
                              .ranks = 8,
                              .elements =
                                  64};  // 14 x 8 elements on a rank, 16 for each of 7 survivors
  auto const map = mirrored_shards{.copies = 2}(state).plan;
  for (rank_id dead : ids<rank_id>(8)) {
    auto const answer = restore_shards{.map = map}({.state = state, .dead = {dead}});
    EXPECT_EQ(answer.status, status::optimal);
    EXPECT_EQ(answer.objective, 14 * 8 + 16);
  }
  auto const neighbours = restore_shards{.map = map}({.state = state, .dead = {3, 4}});
  EXPECT_EQ(std::string(neighbours.reason), "no live rank holds the optimizer's state of elements "
                                            "24 to 31 of experts 0 to 13 (dead: 3, 4)");
  auto const apart = restore_shards{.map = map}({.state = state, .dead = {3, 6}});
  EXPECT_NE(apart.status, status::infeasible);
}

// What is lost for good, against a search element by element.
TEST(mirrors, of_what_is_lost_speak_in_full) {
  dice d(4);
  int somewhere = 0;
  for (int round = 0; round < 300; ++round) {
    auto const state = random_state(d);
    auto map = mirrored_shards{.copies = d.roll(1, std::min(3, state.ranks))}(state).plan;
    if (d.roll(0, 2) == 0) map = hierarchical_shards{.ranks_per_node = d.roll(1, 4)}(state).plan;
    lost_ranks lost{.state = state, .dead = {}};
    for (rank_id r : ids<rank_id>(state.ranks))
      if (d.roll(0, 2) == 0) lost.dead.push_back(r);
    std::vector<std::vector<int>> gone(
        static_cast<std::size_t>(state.experts),
        std::vector<int>(static_cast<std::size_t>(state.elements), 0));
    for (expert_id e : ids<expert_id>(state.experts))
      for (shard const& s : map.shards[e]) {
        bool kept = false;
        for (rank_id r : ids<rank_id>(state.ranks)) kept = kept || (s.held_by(r) && lost.alive(r));
        for (auto i = s.begin; i < s.end; ++i) gone[e.index()][static_cast<std::size_t>(i)] = !kept;
      }
    for (lost_state const& piece : state_lost_with(lost, map)) {
      ++somewhere;
      EXPECT_LT(piece.begin, piece.end);
      for (expert_id e = piece.first; e <= piece.last; ++e)
        for (auto i = piece.begin; i < piece.end; ++i)
          EXPECT_EQ(gone[e.index()][static_cast<std::size_t>(i)]--, 1);
    }
    for (auto const& elements : gone)
      EXPECT_EQ(std::count(elements.begin(), elements.end(), 0), state.elements);
  }
  EXPECT_GT(somewhere, 100);
  auto const uneven =
      restore_shards{
          .map = mirrored_shards{.copies = 1}({.experts = 3, .ranks = 2, .elements = 5}).plan}(
          {.state = {.experts = 3, .ranks = 2, .elements = 5}, .dead = {1}});
  EXPECT_EQ(std::string(uneven.reason), "no live rank holds the optimizer's state of elements 3 to "
                                        "4 of expert 0; elements 2 to 4 of expert 1; "
                                        "elements 3 to 4 of expert 2 (dead: 1)");
}

// Tokens belong to micro-batches: each has one carrier, live ranks keep their own, and nobody
// carries two more than another.
TEST(carriers, take_what_dead_ranks_brought) {
  dice d(5);
  for (int round = 0; round < 300; ++round) {
    std::int32_t const ranks = d.roll(1, 12);
    std::vector<rank_id> dead;
    for (rank_id r : ids<rank_id>(ranks))
      if (d.roll(0, 2) == 0 && static_cast<std::int32_t>(dead.size()) + 1 < ranks)
        dead.push_back(r);
    auto const carriers = carriers_without(dead, ranks);
    ASSERT_EQ(carriers.microbatches(), ranks);
    std::int32_t least = ranks, most = 0, all = 0;
    for (rank_id r : ids<rank_id>(ranks)) {
      auto const mine = carriers.carried_by(r);
      bool const gone = std::find(dead.begin(), dead.end(), r) != dead.end();
      EXPECT_EQ(carriers.alive(r), !gone);
      all += static_cast<std::int32_t>(mine.size());
      for (auto const k : mine) EXPECT_EQ(carriers.of[static_cast<std::size_t>(k)], r);
      if (gone) continue;
      EXPECT_EQ(carriers.of[r.index()], r);
      least = std::min(least, static_cast<std::int32_t>(mine.size()));
      most = std::max(most, static_cast<std::int32_t>(mine.size()));
    }
    EXPECT_EQ(all, ranks);
    EXPECT_LE(most - least, 1);
    EXPECT_EQ(carriers.most(), most);
    EXPECT_EQ(carriers.live().size(), static_cast<std::size_t>(ranks) - dead.size());
  }
  EXPECT_THROW((void)carriers_without({}, 0), invalid_problem);
  EXPECT_THROW((void)carriers_without({2}, 2), invalid_problem);
  EXPECT_THROW((void)carriers_without({0, 1}, 2), invalid_problem);
}

TEST(mirrors, refuse_what_can_not_be) {
  optimizer_state const state{.experts = 1, .ranks = 2, .elements = 4};
  auto const map = mirrored_shards{}(state).plan;
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {0, 1}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {2}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{.map = map}({.state = state, .dead = {1, 1}}), invalid_problem);
  EXPECT_THROW((void)restore_shards{}({.state = state, .dead = {1}}), invalid_problem);
  shard_recovery const same{.map = map, .copies = {}};
  EXPECT_THROW((void)lower(state, map, same, state_recovery{.planes = 5}), invalid_problem);
  shard_recovery const impossible{.map = map, .copies = {{0, 0, 3, 0, 1}}};
  EXPECT_THROW((void)lower(state, map, impossible), invalid_program);
  auto cut_again = same;
  auto& shards = cut_again.map.shards[0];
  shards.push_back(shards.back());
  shards.back().begin = shards[shards.size() - 2].end -= 1;
  EXPECT_THROW((void)lower(state, map, cut_again), invalid_problem);
}

}  // namespace
}  // namespace shunt
