#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/quotas.hpp"
#include "shunt/solve/experts/quotas.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::quotas_test {
namespace {

/// The fewest copies of tiny layers: every set of (expert, rank) pairs, by size, each asked on its
/// subsets (Hall): a set A of experts fits where w(A) is at most cap times the ranks that hold any
/// of A.
std::int64_t fewest_copies(std::vector<std::int64_t> const& loads,
                           std::vector<std::int32_t> const& home, std::int32_t ranks,
                           std::int64_t cap) {
  auto const experts = static_cast<int>(loads.size());
  int const pairs = experts * ranks;
  std::int64_t best = pairs;
  for (int set = 0; set < 1 << pairs; ++set) {
    std::int64_t copies = 0;
    bool fits = true;
    for (int e = 0; e < experts && fits; ++e)
      fits = (set >> (e * ranks + home[static_cast<std::size_t>(e)]) & 1) != 0;
    if (!fits) continue;
    for (int k = 0; k < pairs; ++k) copies += set >> k & 1;
    copies -= experts;
    if (copies >= best) continue;
    for (int subset = 1; subset < 1 << experts && fits; ++subset) {
      std::int64_t tokens = 0;
      int hosts = 0;
      for (int e = 0; e < experts; ++e)
        if (subset >> e & 1) {
          tokens += loads[static_cast<std::size_t>(e)];
          hosts |= set >> (e * ranks) & ((1 << ranks) - 1);
        }
      std::int64_t held = 0;
      for (int r = 0; r < ranks; ++r) held += hosts >> r & 1;
      fits = tokens <= cap * held;
    }
    if (fits) best = copies;
  }
  return best;
}

TEST(quotas, the_bound_is_no_more_than_the_fewest_copies) {
  std::mt19937_64 random(19);
  int met = 0;
  for (int i = 0; i < 120; ++i) {
    expert_layers p{.layers = 1,
                    .experts = 4,
                    .loads = random_loads(random, 4),
                    .slots_per_rank =
                        i % 2 == 0 ? shunt::deal_slots(4, 3) : shunt::deal_slots(4, 2)};
    auto const answer = shunt::quotas{}(p);
    std::int64_t total = 0;
    for (auto const w : p.loads) total += w;
    auto const fewest = fewest_copies(p.loads,
                                      i % 2 == 0 ? std::vector<std::int32_t>{0, 0, 1, 2}
                                                 : std::vector<std::int32_t>{0, 0, 1, 1},
                                      p.ranks(), (total + p.ranks() - 1) / p.ranks());
    EXPECT_LE(answer.lower_bound, static_cast<double>(fewest));
    EXPECT_GE(answer.objective, static_cast<double>(fewest));
    met += answer.objective == static_cast<double>(fewest);
  }
  EXPECT_GT(met, 90);
}

}  // namespace
}  // namespace shunt::tests::quotas_test
