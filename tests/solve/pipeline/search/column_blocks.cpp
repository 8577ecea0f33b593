#include "shunt/solve/pipeline/search/column_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "support/losses.hpp"

namespace shunt::tests::column_blocks_test {
namespace {

/// The bound of a block, from its columns one by one.
ticks bound_of(worker_losses const& losses, detail::column_block const& block) {
  auto const& job = losses.job;
  ticks worst = 0;
  for (auto const& c : block.columns) {
    ticks f = 0, i = 0, w = 0, step = 0, tail = c.end < job.stages ? 2 * job.transfer(0, 1) : 0;
    for (std::int32_t s = c.first; s < c.end; ++s) {
      f += job.costs.forward[s], i += job.costs.backward_input[s];
      w += job.costs.backward_weight[s], step += job.costs.step[s];
    }
    for (std::int32_t s = c.end; s < job.stages; ++s)
      tail += job.costs.forward[s] + job.costs.backward_input[s];
    ticks const n = (block.microbatches + c.ranks - 1) / c.ranks;
    worst = std::max({worst, n * (f + i + w) + step, f + tail + n * (i + w) + step});
  }
  return worst;
}

/// Calls `use` with every block of so many micro-batches on at most `ranks` ranks.
void each_block(worker_losses const& losses, std::int32_t microbatches, std::int32_t ranks,
                bool chains, std::function<void(detail::column_block const&)> const& use) {
  detail::column_block block{.microbatches = microbatches};
  std::function<void(std::int32_t, std::int32_t)> const cut = [&](std::int32_t at,
                                                                  std::int32_t left) {
    if (at == losses.job.stages) return use(block);
    byte_count bytes = 0;
    for (std::int32_t end = at + 1; end <= losses.job.stages; ++end) {
      bytes += losses.state[end - 1];
      if (losses.state_limit > 0 && bytes > losses.state_limit) return;
      for (std::int32_t g = 1; g <= (chains ? std::min(1, left) : left); ++g) {
        block.columns.push_back({at, end, g});
        cut(end, left - g);
        block.columns.pop_back();
      }
    }
  };
  cut(0, ranks);
}

/// The least bound of any blocks for all micro-batches: every split of micro-batches and ranks.
ticks least_by_force(worker_losses const& losses, std::int32_t ranks, bool chains) {
  constexpr ticks none = std::numeric_limits<ticks>::max();
  auto const all = losses.job.total_microbatches();
  // [micro-batches][ranks] of one block
  std::vector one(static_cast<std::size_t>(all) + 1,
                  std::vector<ticks>(static_cast<std::size_t>(ranks) + 1, none));
  for (std::int32_t n = 1; n <= all; ++n)
    for (std::int32_t r = 1; r <= ranks; ++r)
      each_block(losses, n, r, chains, [&](detail::column_block const& b) {
        auto& best = one[static_cast<std::size_t>(n)][static_cast<std::size_t>(r)];
        best = std::min(best, bound_of(losses, b));
      });
  std::function<ticks(std::int32_t, std::int32_t)> const split = [&](std::int32_t n,
                                                                     std::int32_t r) -> ticks {
    if (n == 0) return 0;
    auto best = none;
    for (std::int32_t k = 1; k <= n; ++k)
      for (std::int32_t q = 1; q <= r; ++q)
        best =
            std::min(best, std::max(one[static_cast<std::size_t>(k)][static_cast<std::size_t>(q)],
                                    split(n - k, r - q)));
    return best;
  };
  return split(all, ranks);
}

TEST(column_blocks, no_split_of_ranks_stages_and_micro_batches_has_a_lower_bound) {
  random_cases random(3);
  for (int n = 0; n < 25; ++n) {
    auto const pipelines = random.roll(1, 2), layers = random.roll(1, 3),
               microbatches = random.roll(1, 2);
    auto losses = losses_of(pipelines, 1, layers, microbatches);
    auto& job = losses.job;
    job.costs = {.forward = random.costs(job.stages, 1, 5),
                 .backward_input = random.costs(job.stages, 1, 5),
                 .backward_weight = random.costs(job.stages, 0, 5),
                 .step = random.roll(0, 2)};
    job.transfer = random.roll(0, 2);
    losses.state = random.costs(job.stages, 1, 3);
    if (random.roll(0, 1) == 0) losses.state_limit = random.roll(3, 6);
    auto const ranks = random.roll(1, 4);
    for (bool const chains : {false, true}) {
      detail::block_search search(losses, ranks, std::nullopt);
      auto const wanted = least_by_force(losses, ranks, chains);
      auto const found = search.least({.chains = chains});
      ASSERT_EQ(found.value_or(std::numeric_limits<ticks>::max()), wanted);
      if (!found) continue;
      for (bool const few : {false, true}) {
        std::int32_t used = 0, microbatches = 0;
        for (auto const& b : search.under(*found, {.chains = chains, .few = few})) {
          EXPECT_LE(bound_of(losses, b), *found);
          EXPECT_LE(b.widest(), chains ? 1 : ranks);
          std::int32_t at = 0;
          for (auto const& c : b.columns) {
            EXPECT_EQ(c.first, at);
            at = c.end;
          }
          EXPECT_EQ(at, job.stages);
          used += b.ranks();
          microbatches += b.microbatches;
        }
        EXPECT_LE(used, ranks);
        EXPECT_EQ(microbatches, job.total_microbatches());
      }
      EXPECT_TRUE(search.under(*found - 1, {.chains = chains}).empty());
    }
  }
}

TEST(column_blocks, a_cap_bounds_the_stages_of_a_rank) {
  auto const losses = losses_of(1, 2, 3, 4);
  EXPECT_EQ(detail::block_search(losses, 6, 3).under(1'000, {.few = true}).front().columns.size(),
            2u);
  EXPECT_FALSE(detail::block_search(losses, 5, 1).least({}).has_value());
}

}  // namespace
}  // namespace shunt::tests::column_blocks_test
