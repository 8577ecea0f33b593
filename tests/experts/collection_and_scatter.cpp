#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/uniform_shards.hpp"

namespace {

using shunt::byte_count;
using shunt::collection_form;
using shunt::expert_buffers;
using shunt::expert_id;
using shunt::expert_placement;
using shunt::gradient_collection;
using shunt::layer_id;
using shunt::opcode;
using shunt::optimizer_state;
using shunt::program;
using shunt::rank_id;
using shunt::region;
using shunt::shard;
using shunt::shard_map;
using shunt::weight_scatter;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

/// A model's experts with two placements of them and the shards of their optimizer.
struct setting {
  optimizer_state state;
  shard_map shards;
  expert_placement now, next;
};

expert_placement random_placement(std::mt19937_64& random, std::int32_t layers, std::int32_t experts,
                                  std::vector<std::int32_t> const& slots) {
  shunt::expert_layers p{.layers = layers, .experts = experts, .loads = {}, .slots_per_rank = slots};
  for (std::int32_t i = 0; i < layers * experts; ++i) p.loads.push_back(below(random, 1 + below(random, 100)));
  auto const kind = below(random, 3);
  auto plan = kind == 0 ? shunt::uniform{}(p).plan : shunt::swift_moe{}(p).plan;
  if (kind == 2)  // no order at all
    for (layer_id l : shunt::ids<layer_id>(layers)) {
      auto const row = plan.layer(l);
      for (std::size_t i = row.size(); i > 1; --i)
        std::swap(row[i - 1], row[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(i)))]);
    }
  return plan;
}

setting random_setting(std::mt19937_64& random) {
  setting s;
  s.state = {.experts = static_cast<std::int32_t>(1 + below(random, 6)),
             .ranks = static_cast<std::int32_t>(1 + below(random, 6)),
             .elements = 1 + below(random, 20),
             .gradient_bytes = 8,
             .weight_bytes = static_cast<std::int32_t>(1 + below(random, 8))};
  std::vector<std::int32_t> slots;
  for (std::int32_t r = 0; r < s.state.ranks; ++r) slots.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (std::accumulate(slots.begin(), slots.end(), 0) < s.state.experts) ++slots[static_cast<std::size_t>(below(random, s.state.ranks))];
  auto const layers = static_cast<std::int32_t>(1 + below(random, 2));
  s.now = random_placement(random, layers, s.state.experts, slots);
  s.next = random_placement(random, layers, s.state.experts, slots);
  s.shards = shunt::uniform_shards{}(s.state).plan;
  if (below(random, 3) == 0)  // any cut, any owners, some of them twice
    for (auto& shards : s.shards.shards) {
      shards.clear();
      for (std::int64_t begin = 0; begin < s.state.elements;) {
        auto const end = std::min(s.state.elements, begin + 1 + below(random, 5));
        shards.push_back({.owner = below(random, s.state.ranks), .begin = begin, .end = end});
        begin = end;
      }
    }
  return s;
}

/// All ranks on one thread, each running until it waits; memory starts as noise. Written for these tests alone.
class machine {
 public:
  explicit machine(program const& p) : program_(p), at_(p.ranks.size(), 0) {
    std::mt19937_64 random(99);
    for (auto const& rank : p.ranks) {
      auto& buffers = memory_.emplace_back();
      for (auto const& info : rank.buffers) {
        buffers.emplace_back(static_cast<std::size_t>(info.size));
        for (auto& byte : buffers.back()) byte = static_cast<unsigned char>(random());
      }
    }
  }

  std::vector<unsigned char>& memory(rank_id r, std::int32_t buffer) { return memory_[r.index()][static_cast<std::size_t>(buffer)]; }

  std::int64_t number(rank_id r, std::int32_t buffer, std::int64_t index) {
    std::int64_t value = 0;
    std::memcpy(&value, memory(r, buffer).data() + index * 8, 8);
    return value;
  }
  void number(rank_id r, std::int32_t buffer, std::int64_t index, std::int64_t value) {
    std::memcpy(memory(r, buffer).data() + index * 8, &value, 8);
  }

  /// False where ranks wait for each other, or messages are left over.
  bool run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t r = 0; r < at_.size(); ++r)
        while (at_[r] < program_.ranks[r].instructions.size() && step(r)) moved = true;
    }
    for (std::size_t r = 0; r < at_.size(); ++r)
      if (at_[r] < program_.ranks[r].instructions.size()) return false;
    return std::all_of(messages_.begin(), messages_.end(), [](auto const& queue) { return queue.second.empty(); });
  }

 private:
  using bytes = std::vector<unsigned char>;

  unsigned char* find(std::size_t r, region const& where) {
    auto& buffer = memory_[r].at(where.buffer.index());
    if (where.offset < 0 || where.size < 1 || where.offset + where.size > static_cast<byte_count>(buffer.size()))
      throw std::out_of_range("region");
    return buffer.data() + where.offset;
  }
  bytes take(std::size_t r, region const& where) { return {find(r, where), find(r, where) + where.size}; }
  void put(std::size_t r, region const& where, bytes const& content) {
    if (static_cast<byte_count>(content.size()) != where.size) throw std::length_error("message");
    std::memcpy(find(r, where), content.data(), content.size());
  }
  static void add(bytes& sum, bytes const& more) {
    if (sum.size() != more.size()) throw std::length_error("sum");
    for (std::size_t i = 0; i < sum.size(); i += 8) {
      std::int64_t a = 0, b = 0;
      std::memcpy(&a, sum.data() + i, 8);
      std::memcpy(&b, more.data() + i, 8);
      a += b;
      std::memcpy(sum.data() + i, &a, 8);
    }
  }

  bool step(std::size_t r) {
    auto const& rank = program_.ranks[r];
    auto const& i = rank.instructions[at_[r]];
    auto const reads = rank.reads(i), writes = rank.writes(i);
    switch (i.code) {
      case opcode::send: messages_[{r, i.peer.index(), i.channel}].push_back(take(r, reads[0])); break;
      case opcode::receive: {
        auto& queue = messages_[{i.peer.index(), r, i.channel}];
        if (queue.empty()) return false;
        put(r, writes[0], queue.front());
        queue.pop_front();
        break;
      }
      case opcode::copy: put(r, writes[0], take(r, reads[0])); break;
      case opcode::add: {
        auto sum = take(r, reads[1]);
        add(sum, take(r, reads[0]));
        put(r, writes[0], sum);
        break;
      }
      case opcode::all_reduce: {
        auto const& members = program_.groups[i.group];
        bytes sum;
        for (rank_id const m : members) {  // all must stand at this collective; the last to come does the work for all
          auto const& theirs = program_.ranks[m];
          if (at_[m.index()] >= theirs.instructions.size()) return false;
          auto const& other = theirs.instructions[at_[m.index()]];
          if (other.code != i.code || other.group != i.group) return false;
          auto const own = take(m.index(), theirs.reads(other)[0]);
          if (sum.empty())
            sum = own;
          else
            add(sum, own);
        }
        for (rank_id const m : members) {
          auto const& theirs = program_.ranks[m];
          put(m.index(), theirs.writes(theirs.instructions[at_[m.index()]])[0], sum);
          if (m.index() != r) ++at_[m.index()];
        }
        break;
      }
      default: throw std::logic_error("not an instruction of collection or scatter");
    }
    ++at_[r];
    return true;
  }

  program const& program_;
  std::vector<std::size_t> at_;
  std::vector<std::vector<bytes>> memory_;
  std::map<std::tuple<std::size_t, std::size_t, std::int32_t>, std::deque<bytes>> messages_;
};

std::vector<gradient_collection> const every_collection{{.form = collection_form::direct, .deduplicate = false},
                                                        {.form = collection_form::direct, .deduplicate = true},
                                                        {.form = collection_form::reduce_then_gather}};

TEST(GradientCollection, GivesEveryOwnerTheSumOverItsExpertsInstances) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 600; ++i) {
    auto const s = random_setting(random);
    ASSERT_TRUE(shunt::check(s.state, s.shards).empty());
    for (auto const& how : every_collection) {
      auto const p = lower(s.state, s.now, s.shards, how);
      machine m(p);
      std::vector<std::map<std::int32_t, std::vector<std::int64_t>>> sums(static_cast<std::size_t>(s.now.layers));
      for (std::int32_t l = 0; l < s.now.layers; ++l)
        for (std::int32_t slot = 0; slot < s.now.slots(); ++slot) {
          rank_id const r = s.now.rank_of(slot);
          auto& sum = sums[static_cast<std::size_t>(l)][s.now.layer(l)[static_cast<std::size_t>(slot)].value()];
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
              auto const sum = sums[static_cast<std::size_t>(l)][e.value()][static_cast<std::size_t>(x)];
              ASSERT_EQ(m.number(cut.owner, 3 * l + 1, at[cut.owner.index()]++), sum) << "case " << i << " expert " << e.value();
            }
      }
    }
  }
}

TEST(WeightScatter, FillsEverySlotOfTheNextPlacement) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 600; ++i) {
    auto const s = random_setting(random);
    for (bool const deduplicate : {false, true}) {
      auto const p = lower(s.state, s.next, s.shards, weight_scatter{.deduplicate = deduplicate});
      machine m(p);
      auto const width = static_cast<std::size_t>(s.state.weight_bytes);
      std::map<std::pair<std::int32_t, std::int32_t>, std::vector<unsigned char>> weights;
      for (std::int32_t l = 0; l < s.next.layers; ++l) {
        std::vector<std::size_t> at(static_cast<std::size_t>(s.state.ranks), 0);
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          for (shard const& cut : s.shards.shards[e])
            for (std::size_t b = 0; b < static_cast<std::size_t>(cut.size()) * width; ++b)
              weights[{l, e.value()}].push_back(m.memory(cut.owner, 2 * l + 1).at(at[cut.owner.index()]++));  // noise is as good as any
      }
      ASSERT_TRUE(m.run()) << "case " << i;
      for (std::int32_t l = 0; l < s.next.layers; ++l)
        for (std::int32_t slot = 0; slot < s.next.slots(); ++slot) {
          rank_id const r = s.next.rank_of(slot);
          auto const& wanted = weights[{l, s.next.layer(l)[static_cast<std::size_t>(slot)].value()}];
          auto const begin =
              m.memory(r, 2 * l).begin() + (slot - s.next.first_slot[r.index()]) * static_cast<std::ptrdiff_t>(wanted.size());
          EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), begin)) << "case " << i << " slot " << slot;
        }
    }
  }
}

TEST(Volumes, AreThePapersWhateverThePlacement) {
  std::mt19937_64 random(3);
  int below_plain = 0;
  for (int i = 0; i < 600; ++i) {
    auto const s = random_setting(random);
    byte_count const gradient = s.state.elements * s.state.gradient_bytes, weight = s.state.elements * s.state.weight_bytes;
    byte_count const slots = s.now.slots() * s.now.layers;
    byte_count pairs_now = 0, pairs_next = 0, shared_hosts = 0;
    for (layer_id l : shunt::ids<layer_id>(s.now.layers)) {
      pairs_now += shunt::hosted_pairs(s.now, l);
      pairs_next += shunt::hosted_pairs(s.next, l);
      for (auto const& hosts : shunt::hosts_of(s.now, l)) shared_hosts += static_cast<byte_count>(hosts.size()) - 1;
    }
    auto const moved = [&](gradient_collection const& how) { return shunt::bytes_moved(lower(s.state, s.now, s.shards, how)); };
    auto const scattered = [&](bool deduplicate) {
      return shunt::bytes_moved(lower(s.state, s.next, s.shards, weight_scatter{.deduplicate = deduplicate}));
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
    bool const one_shard_a_rank = std::all_of(s.shards.shards.begin(), s.shards.shards.end(), [&](auto const& shards) {
      return static_cast<std::int32_t>(shards.size()) == s.state.ranks;
    });
    if (one_shard_a_rank && s.state.ranks > 1) {
      EXPECT_EQ(once.network < plain.network, pairs_now < slots);
      EXPECT_EQ(once_weights.network < plain_weights.network, pairs_next < slots);
      below_plain += pairs_now < slots;
    }

    auto const reduced = moved({.form = collection_form::reduce_then_gather});
    EXPECT_EQ(reduced.within, (slots - pairs_now) * gradient);
    EXPECT_EQ(reduced.logical(), (2 * shared_hosts + s.state.experts * s.now.layers) * gradient);
  }
  EXPECT_GT(below_plain, 50);
}

TEST(GradientSource, VectorsOfThePlacementB) {
  auto const plan = shunt::swift_moe{}({.experts = 4, .loads = {700, 200, 60, 40}, .slots_per_rank = {2, 2, 2, 2}}).plan;
  auto const hosts = shunt::hosts_of(plan, 0);
  auto const sources = [&](expert_id e) {
    std::vector<std::int32_t> list;
    for (rank_id r : shunt::ids<rank_id>(4)) list.push_back(shunt::gradient_source(hosts[e], r).value());
    return list;
  };
  using list = std::vector<std::int32_t>;
  EXPECT_EQ(sources(0), (list{0, 1, 2, 0}));
  EXPECT_EQ(sources(1), (list{2, 2, 2, 2}));
  EXPECT_EQ(sources(2), (list{3, 3, 3, 3}));
  EXPECT_EQ(sources(3), (list{3, 3, 3, 3}));
}

TEST(GradientSource, SpreadsOverTheHosts) {
  std::vector<shunt::expert_host> const hosts{{1, {0}}, {4, {0, 1}}};
  std::vector<std::int32_t> list;
  for (rank_id r : shunt::ids<rank_id>(7)) list.push_back(shunt::gradient_source(hosts, r).value());
  EXPECT_EQ(list, (std::vector<std::int32_t>{1, 1, 1, 4, 4, 4, 1}));
}

TEST(ReduceThenGather, EveryShardHasOneSourceWhichIsLocalWhereItCanBe) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 300; ++i) {
    auto s = random_setting(random);
    auto const p = lower(s.state, s.now, s.shards, gradient_collection{.form = collection_form::reduce_then_gather});
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
        EXPECT_EQ(std::count(written.begin(), written.end(), 1), static_cast<std::ptrdiff_t>(written.size()));
        std::size_t at = 0;
        auto const hosted = s.now.layer(l).subspan(static_cast<std::size_t>(s.now.first_slot[r.index()]),
                                                   static_cast<std::size_t>(s.now.first_slot[r.index() + 1] - s.now.first_slot[r.index()]));
        for (expert_id e : shunt::ids<expert_id>(s.state.experts))
          for (shard const& cut : s.shards.shards[e])
            if (cut.owner == r)
              for (std::int64_t x = 0; x < cut.size(); ++x) {
                EXPECT_EQ(local[at++], std::find(hosted.begin(), hosted.end(), e) != hosted.end());
              }
      }
  }
}

TEST(ReduceThenGather, NeighbouringGroupsTakeTurns) {
  // six experts over 5 ranks with 3 slots; 0, 1, 3, 4 have two hosts or more, numbered 0 .. 3
  expert_placement const plan{
      .layers = 1, .experts = 6, .first_slot = {0, 3, 6, 9, 12, 15}, .expert_of = {0, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5}};
  optimizer_state const state{.experts = 6, .ranks = 5, .elements = 5};
  auto const p = lower(state, plan, shunt::uniform_shards{}(state).plan, gradient_collection{.form = collection_form::reduce_then_gather});
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

TEST(Messages, SendsMeetReceivesAndABatchIsOneRun) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    auto const s = random_setting(random);
    std::vector<program> programs;
    for (auto how : every_collection) {
      how.batch = 7;
      how.channel = 3;
      programs.push_back(lower(s.state, s.now, s.shards, how));
    }
    for (bool const deduplicate : {false, true})
      programs.push_back(lower(s.state, s.next, s.shards, weight_scatter{.deduplicate = deduplicate, .channel = 3, .batch = 7}));
    for (auto const& p : programs) {
      for (auto const& violation : shunt::check(p)) ADD_FAILURE() << "case " << i << ": " << to_string(violation);
      std::map<std::pair<rank_id, rank_id>, std::vector<byte_count>> sent, received;
      for (rank_id r : shunt::ids<rank_id>(s.state.ranks)) {
        std::vector<std::int32_t> runs;  // batches in the order in which they are met
        bool receiving = false;
        for (auto const& instruction : p.ranks[r].instructions) {
          bool const send = instruction.code == opcode::send, receive = instruction.code == opcode::receive;
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
          if (receive) received[{instruction.peer, r}].push_back(p.ranks[r].writes(instruction)[0].size);
        }
        std::erase(runs, -1);
        EXPECT_TRUE(std::is_sorted(runs.begin(), runs.end()));
        EXPECT_EQ(std::adjacent_find(runs.begin(), runs.end()), runs.end());
      }
      EXPECT_EQ(sent, received);
    }
  }
}

TEST(MovedBytes, CountsOneOfEach) {
  shunt::program_builder b(3);
  for (rank_id r : shunt::ids<rank_id>(3))
    for (int i = 0; i < 2; ++i) b.buffer(r, 96, true);
  auto const at = [](byte_count offset, byte_count size, std::int32_t buffer = 0) { return region{buffer, offset, size}; };
  auto const number = shunt::element::int64;
  b.message(0, at(0, 24), 1, at(24, 24));    // network 24
  b.message(1, at(0, 16), 1, at(80, 16));    // within 16
  b.copy(1, at(80, 16), at(0, 16, 1));       // local 16
  b.add(1, number, at(40, 8), at(0, 8));     // has just arrived
  b.add(1, number, at(40, 8), at(0, 8, 1));  // likewise
  b.add(1, number, at(80, 8), at(0, 8));     // within 8
  b.fill(1, at(24, 8));
  b.add(1, number, at(24, 8), at(0, 8, 1));  // local 8: something else was written over what arrived
  auto const group = b.group({2, 0, 1});
  for (rank_id r : shunt::ids<rank_id>(3)) {
    b.all_reduce(r, group, number, shunt::reduction::sum, at(0, 8));                  // network 2 * 2 * 8
    b.reduce_scatter(r, group, number, shunt::reduction::sum, at(0, 24), at(24, 8));  // network 2 * 24
    b.all_gather(r, group, at(0, 8), at(24, 24));                                     // network 2 * 24
  }
  auto const moved = shunt::bytes_moved(std::move(b).finish());
  EXPECT_EQ(moved, (shunt::moved_bytes{.network = 24 + 32 + 48 + 48, .local = 24, .within = 24}));
  EXPECT_EQ(moved.logical(), 152 + 24);
}

TEST(BadLowering, IsNamed) {
  optimizer_state const state{.experts = 2, .ranks = 2, .elements = 4};
  auto const shards = shunt::uniform_shards{}(state).plan;
  expert_placement const plan{.layers = 1, .experts = 2, .first_slot = {0, 1, 2}, .expert_of = {0, 1}};
  auto const field = [&](optimizer_state const& o, expert_placement const& where, shard_map const& map,
                         gradient_collection const& how = {}) {
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
  EXPECT_THROW(gradient_collection{}(b, state, plan, 1, shards, expert_buffers{}), shunt::invalid_problem);
}

}  // namespace
