#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/device/weight_packing.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/emulated_kernels.hpp"
#include "support/random_cases.hpp"
#include "support/random_layers.hpp"

namespace shunt::tests::weight_packing_test {
namespace {

using namespace emulated_kernels;

/// Every rank packs, parts travel, every rank unpacks: then every slot holds all of its expert's
/// weights.
TEST(weight_packing, scatter_fills_every_slot) {
  std::mt19937_64 random(21);
  int twice = 0;
  for (int i = 0; i < 150; ++i) {
    auto const p = random_layers(random, 2, 12, 6);
    auto const plan = shunt::eplb{}(p).plan;
    std::int32_t const ranks = p.ranks(), slots = p.slots();
    std::int32_t const weight_bytes = i % 3 == 0 ? 1 : 4;
    std::int64_t const elements = i % 2 == 0 ? 64 * ranks : 1 + below(random, 70);
    auto const map =
        shunt::uniform_shards{}({.experts = p.experts, .ranks = ranks, .elements = elements}).plan;
    auto const parts = shunt::parts_of(map, ranks, weight_bytes);
    std::int64_t const row_bytes = (parts.longest + 15) / 16 * 16,
                       expert_bytes = elements * weight_bytes;

    std::int64_t part_rows = 0;
    for (auto const s : p.slots_per_rank) part_rows = std::max<std::int64_t>(part_rows, s);
    std::vector<std::int32_t> rank_of_slot;
    for (std::int32_t r = 0; r < ranks; ++r)
      rank_of_slot.insert(rank_of_slot.end(), at(p.slots_per_rank[at(r)]), r);

    auto const expert_of = values_of(plan.expert_of);
    std::vector<std::int32_t> row_of(expert_of.size(), 99);
    std::vector<std::int64_t> rows(at(p.layers * ranks), -1);
    shunt::scatter_rows const plan_rows{
        ranks, slots, plan.first_slot.data(), expert_of.data(), row_of.data(), rows.data()};
    for (std::int64_t item = 0; item < p.layers * ranks; ++item) plan_rows(item);

    for (std::int32_t layer = 0; layer < p.layers; ++layer) {
      std::vector<unsigned char> weights(at(p.experts * expert_bytes));
      for (auto& w : weights) w = static_cast<unsigned char>(random());
      auto const* const experts = expert_of.data() + layer * slots;
      auto const* const row = row_of.data() + layer * slots;

      // all[source][target's part]
      std::vector<std::vector<unsigned char>> all;
      std::int64_t const part_bytes = part_rows * row_bytes;
      for (std::int32_t r = 0; r < ranks; ++r) {
        auto const cell = at(r * p.experts);
        std::vector<unsigned char> shards;
        for (std::int32_t e = 0; e < p.experts; ++e) {
          if (parts.bytes[cell + at(e)] > 0) {
            ASSERT_EQ(static_cast<std::int64_t>(shards.size()), parts.offset[cell + at(e)]);
          }
          auto const begin = weights.begin() + e * expert_bytes + parts.begin[cell + at(e)];
          shards.insert(shards.end(), begin, begin + parts.bytes[cell + at(e)]);
        }
        all.emplace_back(at(ranks * part_bytes), std::uint8_t{0xee});
        emulate_rows(shunt::pack_weights{shards.data(), &parts.offset[cell], &parts.bytes[cell],
                                         experts, row, rank_of_slot.data(), part_rows, row_bytes,
                                         all.back().data()},
                     slots);
      }
      for (std::int32_t r = 0; r < ranks; ++r) {
        std::vector<unsigned char> arrived;
        for (std::int32_t source = 0; source < ranks; ++source) {
          auto const used =
              rows[at(layer * ranks + r)] * row_bytes;  // no more than this has to travel
          auto const begin = all[at(source)].begin() + r * part_bytes;
          arrived.insert(arrived.end(), begin, begin + used);
          arrived.insert(arrived.end(), at(part_bytes - used), std::uint8_t{0xdd});
        }
        auto const first = plan.first_slot[at(r)], own = p.slots_per_rank[at(r)];
        std::vector<unsigned char> filled(at(own * expert_bytes), std::uint8_t{0xcc});
        emulate_rows(shunt::unpack_weights{arrived.data(), parts.begin.data(), parts.bytes.data(),
                                           experts + first, row + first, ranks, p.experts,
                                           part_rows, row_bytes, expert_bytes, filled.data()},
                     own * ranks);
        for (std::int32_t s = 0; s < own; ++s) {
          auto const wanted = weights.begin() + experts[first + s] * expert_bytes;
          ASSERT_TRUE(std::equal(wanted, wanted + expert_bytes, filled.begin() + s * expert_bytes))
              << "case " << i << " rank " << r << " slot " << s;
          twice += row[first + s] < 0;
        }
      }
    }
  }
  EXPECT_GT(twice, 100);
}

TEST(weight_packing, two_parts_of_an_expert_at_one_rank_are_refused) {
  shunt::shard_map map{.elements = 10, .shards = {}};
  map.shards.push_back({{.owner = 0, .begin = 0, .end = 3},
                        {.owner = 1, .begin = 3, .end = 6},
                        {.owner = 0, .begin = 6, .end = 10}});
  try {
    (void)shunt::parts_of(map, 2, 4);
    FAIL();
  } catch (shunt::invalid_problem const& e) {
    EXPECT_STREQ(e.what(), "shards[0]: has two parts at rank 0");
  }
}

}  // namespace
}  // namespace shunt::tests::weight_packing_test
