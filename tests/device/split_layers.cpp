#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/split_layers.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/random_cases.hpp"
#include "support/random_layers.hpp"

namespace shunt::tests::split_layers_test {
namespace {

TEST(split_layers, is_the_hosts_answer) {
  std::mt19937_64 random(41);
  std::int64_t drops = 0;
  for (int i = 0; i < 300; ++i) {
    auto const p = random_layers(random, 2, i % 8 == 0 ? 60 : 12, 8);
    auto const plan = shunt::eplb{}(p).plan;
    auto const layers = static_cast<std::size_t>(p.layers),
               ranks = static_cast<std::size_t>(p.ranks());
    auto const experts = static_cast<std::size_t>(p.experts),
               slots = static_cast<std::size_t>(p.slots());
    std::vector<std::int64_t> counts(layers * ranks * experts);
    for (auto& c : counts) c = below(random, 5) == 0 ? 0 : below(random, 90);
    std::int64_t const capacity = i % 3 == 0 ? shunt::dropless : below(random, 120);
    auto const self = static_cast<std::int32_t>(below(random, p.ranks()));

    std::vector<std::int64_t> tokens(layers * ranks * slots, -1),
        dropped(layers * ranks * experts, -1), first_row(layers * slots, -1);
    std::vector<std::int32_t> hosted(layers * slots, -1), hosted_end(layers * experts, -1),
        rest(layers * ranks * experts, -1);
    auto const expert_of = values_of(plan.expert_of);
    shunt::split_layers const split{.ranks = p.ranks(),
                                    .experts = p.experts,
                                    .slots = p.slots(),
                                    .capacity = capacity,
                                    .first_slot = plan.first_slot.data(),
                                    .expert_of = expert_of.data(),
                                    .counts = counts.data(),
                                    .tokens = tokens.data(),
                                    .dropped = dropped.data(),
                                    .hosted = hosted.data(),
                                    .hosted_end = hosted_end.data(),
                                    .self = self,
                                    .part_rows = 100000,
                                    .first_row = first_row.data(),
                                    .rest = rest.data()};
    for (std::int32_t l = 0; l < p.layers; ++l) {
      std::vector<std::uint64_t> shared(static_cast<std::size_t>(split.shared_bytes() + 7) / 8,
                                        0xa5a5a5a5a5a5a5a5);
      split(shunt::emulated_team(32, static_cast<std::uint32_t>(random())), l,
            reinterpret_cast<unsigned char*>(shared.data()));

      auto const row = counts.begin() +
                       static_cast<std::ptrdiff_t>(static_cast<std::size_t>(l) * ranks * experts);
      auto const host = shunt::capacity_split{}(shunt::routed(
          plan, l, {row, row + static_cast<std::ptrdiff_t>(ranks * experts)}, capacity));
      ASSERT_TRUE(host.has_plan());
      for (std::size_t k = 0; k < ranks * slots; ++k)
        ASSERT_EQ(tokens[static_cast<std::size_t>(l) * ranks * slots + k], host.plan.tokens[k]);
      for (std::size_t k = 0; k < ranks * experts; ++k) {
        ASSERT_EQ(dropped[static_cast<std::size_t>(l) * ranks * experts + k], host.plan.dropped[k]);
        drops += host.plan.dropped[k];
      }
      // each part's rows follow one another, and the slots of an expert are its own, ascending
      for (std::int32_t r = 0; r < p.ranks(); ++r) {
        std::int64_t next = std::int64_t{r} * 100000;
        for (auto s = plan.first_slot[static_cast<std::size_t>(r)];
             s < plan.first_slot[static_cast<std::size_t>(r) + 1]; ++s) {
          ASSERT_EQ(first_row[static_cast<std::size_t>(l) * slots + static_cast<std::size_t>(s)],
                    next);
          next += host.plan.sent(self, s);
        }
      }
      std::int32_t k = 0;
      for (std::int32_t e = 0; e < p.experts; ++e)
        for (std::int32_t before = -1;
             k < hosted_end[static_cast<std::size_t>(l) * experts + static_cast<std::size_t>(e)];
             ++k) {
          auto const s = hosted[static_cast<std::size_t>(l) * slots + static_cast<std::size_t>(k)];
          ASSERT_GT(s, before);
          ASSERT_EQ(plan.layer(l)[static_cast<std::size_t>(s)], shunt::expert_id{e});
          before = s;
        }
      ASSERT_EQ(k, p.slots());
    }
  }
  EXPECT_GT(drops, 1000);
}

}  // namespace
}  // namespace shunt::tests::split_layers_test
