#include "shunt/solve/pipeline/search/column_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "shunt/problem/stage_costs.hpp"
#include "support/losses.hpp"

namespace shunt::tests::column_blocks_test {
namespace {

/// Ranks that are all alike.
std::vector<detail::rank_kind> alike(worker_losses const& losses, std::int32_t ranks) {
  detail::rank_kind one{.ranks = ranks};
  for (stage_id const s : ids<stage_id>(losses.job.stages))
    one.at.push_back(rank_costs(losses).normal(s));
  return {one};
}

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

stage_costs costs_of(random_cases& random, std::int32_t stages) {
  return {.forward = random.costs(stages, 1, 5),
          .backward_input = random.costs(stages, 1, 5),
          .backward_weight = random.costs(stages, 0, 5),
          .step = random.roll(0, 2)};
}

TEST(column_blocks, no_split_of_ranks_stages_and_micro_batches_has_a_lower_bound) {
  random_cases random(3);
  for (int n = 0; n < 25; ++n) {
    auto const pipelines = random.roll(1, 2), layers = random.roll(1, 3),
               microbatches = random.roll(1, 2);
    auto losses = losses_of(pipelines, 1, layers, microbatches);
    auto& job = losses.job;
    job.costs = costs_of(random, job.stages);
    job.transfer = random.roll(0, 2);
    losses.state = random.costs(job.stages, 1, 3);
    if (random.roll(0, 1) == 0) losses.state_limit = random.roll(3, 6);
    auto const ranks = random.roll(1, 4);
    for (bool const chains : {false, true}) {
      detail::block_search search(losses, alike(losses, ranks), std::nullopt);
      auto const wanted = least_by_force(losses, ranks, chains);
      auto const found = search.least({.chains = chains});
      ASSERT_EQ(found.value_or(std::numeric_limits<ticks>::max()), wanted);
      if (!found) continue;
      for (bool const few : {false, true}) {
        std::int32_t used = 0, dealt = 0;
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
          dealt += b.microbatches;
        }
        EXPECT_LE(used, ranks);
        EXPECT_EQ(dealt, job.total_microbatches());
      }
      EXPECT_TRUE(search.under(*found - 1, {.chains = chains}).empty());
    }
  }
}

TEST(column_blocks, a_cap_bounds_the_stages_of_a_rank) {
  auto const losses = losses_of(1, 2, 3, 4);
  EXPECT_EQ(detail::block_search(losses, alike(losses, 6), 3)
                .under(1'000, {.few = true})
                .front()
                .columns.size(),
            2u);
  EXPECT_FALSE(detail::block_search(losses, alike(losses, 5), 1).least({}).has_value());
}

/// What ranks of two kinds can do: whether blocks for so many micro-batches fit under a limit, by
/// trying every cut, every mixture of every column and every split.
struct mixed_by_force {
  worker_losses const& losses;
  std::vector<detail::rank_kind> const& kinds;
  ticks limit;

  /// The most micro-batches of a rank of kind k with stages a .. b-1.
  std::int32_t most(std::size_t k, std::int32_t a, std::int32_t b) const {
    auto const& job = losses.job;
    ticks f = 0, back = 0, step = 0, tail = b < job.stages ? 2 * job.transfer(0, 1) : 0;
    for (std::int32_t s = 0; s < job.stages; ++s) {
      auto const i = static_cast<std::size_t>(s);
      auto const& c = kinds[k].at[i];
      if (s >= a && s < b)
        f += c.forward, back += c.backward_input + c.backward_weight, step += c.step;
      if (s >= b)
        tail += std::min(kinds[0].at[i].forward + kinds[0].at[i].backward_input,
                         kinds[1].at[i].forward + kinds[1].at[i].backward_input);
    }
    std::int32_t n = 0;
    while (n < job.total_microbatches() && (n + 1) * (f + back) + step <= limit &&
           f + tail + (n + 1) * back + step <= limit)
      ++n;
    return n;
  }
  bool block(std::int32_t n, std::int32_t at, std::int32_t fast, std::int32_t slow) const {
    if (at == losses.job.stages) return true;
    for (std::int32_t end = at + 1; end <= losses.job.stages; ++end)
      for (std::int32_t i = 0; i <= fast; ++i)
        for (std::int32_t j = 0; j <= slow; ++j)
          if (i * most(0, at, end) + j * most(1, at, end) >= n && block(n, end, fast - i, slow - j))
            return true;
    return false;
  }
  bool fits(std::int32_t n, std::int32_t fast, std::int32_t slow) const {
    if (n <= 0) return true;
    for (std::int32_t i = 0; i <= fast; ++i)
      for (std::int32_t j = 0; j <= slow; ++j)
        for (std::int32_t k = n; i + j > 0 && k >= 1; --k)
          if (block(k, 0, i, j) && fits(n - k, fast - i, slow - j)) return true;
    return false;
  }
};

TEST(column_blocks, no_mixture_of_two_kinds_of_ranks_has_a_lower_bound) {
  random_cases random(5);
  int mixed = 0;
  for (int n = 0; n < 40; ++n) {
    auto losses = losses_of(1, 1, random.roll(1, 3), random.roll(1, 4));
    auto& job = losses.job;
    job.costs = costs_of(random, job.stages);
    job.transfer = random.roll(0, 2);
    auto kinds = alike(losses, random.roll(1, 3));
    kinds.push_back(kinds.front());
    kinds[1].ranks = random.roll(1, 2);
    for (auto& c : kinds[1].at)
      c.forward *= 2, c.backward_input *= random.roll(1, 3), c.backward_weight *= 2;
    detail::block_search search(losses, kinds, std::nullopt);
    auto const found = search.least({});
    ASSERT_TRUE(found.has_value());
    auto const all = job.total_microbatches();
    EXPECT_TRUE((mixed_by_force{losses, kinds, *found}.fits(all, kinds[0].ranks, kinds[1].ranks)));
    EXPECT_FALSE(
        (mixed_by_force{losses, kinds, *found - 1}.fits(all, kinds[0].ranks, kinds[1].ranks)));
    std::int32_t used = 0, slow = 0;
    for (auto const& b : search.under(*found, {}))
      for (auto const& c : b.columns) {
        used += c.ranks;
        slow += c.others[0];
        mixed += c.others[0] > 0 && c.others[0] < c.ranks;
      }
    EXPECT_LE(slow, kinds[1].ranks);
    EXPECT_LE(used - slow, kinds[0].ranks);
  }
  EXPECT_GE(mixed, 2);
}

TEST(column_blocks, micro_batches_are_dealt_by_length) {
  auto losses = losses_of(2, 1, 1, 3);
  losses.job.lengths = {3, 1, 1, 2, 1, 4};
  detail::block_search search(losses, alike(losses, 2), std::nullopt);
  EXPECT_EQ(search.least({.chains = true}), 18);  // 12 units of 3 ticks on two ranks
  auto const blocks = search.under(18, {.chains = true});
  ASSERT_EQ(blocks.size(), 2u);
  for (auto const& b : blocks) {
    std::int64_t length = 0;
    for (auto const number : b.numbers)
      length += losses.job.lengths[static_cast<std::size_t>(number)];
    EXPECT_EQ(length, 6);
    EXPECT_EQ(b.microbatches, std::ssize(b.numbers));
    EXPECT_TRUE(std::is_sorted(b.numbers.begin(), b.numbers.end()));
  }
}

// Too many counts of kinds: then no block mixes them, and each kind has blocks of its own.
TEST(column_blocks, many_ranks_of_each_kind_form_blocks_of_one) {
  auto losses = losses_of(300, 1, 2, 4);
  auto kinds = alike(losses, 200);
  kinds.push_back(kinds.front());
  kinds[1].ranks = 100;
  for (auto& c : kinds[1].at) c.forward = 2, c.backward_input = 2, c.backward_weight = 2;
  detail::block_search search(losses, kinds, std::nullopt);
  auto const least = search.least({});
  ASSERT_TRUE(least.has_value());
  EXPECT_LE(*least, 30);  // 2,400 cells of 3 ticks over 250 ranks: 29
  std::int32_t slow = 0;
  for (auto const& b : search.under(*least, {}))
    for (auto const& c : b.columns) {
      EXPECT_TRUE(c.others[0] == 0 || c.others[0] == c.ranks);
      slow += c.others[0];
    }
  EXPECT_GT(slow, 50);
}

}  // namespace
}  // namespace shunt::tests::column_blocks_test
