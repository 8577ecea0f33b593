#include "shunt/train/detail/token_kernels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/solve/experts/source_capacity.hpp"
#include "shunt/train/detail/expert_tables.hpp"
#include "support/dense_on_streams.hpp"
#include "support/routed_tokens_case.hpp"

namespace shunt::tests::token_kernels_test {
namespace {

using namespace detail;

/// Slots by expert, and where each expert's end, as split_layers has them.
struct hosted_slots {
  std::vector<std::int32_t> slots{}, end{};
  explicit hosted_slots(routed_tokens_case const& c) {
    for (std::int32_t e = 0; e < c.experts; ++e) {
      for (std::int32_t s = 0; s < c.placement.slots(); ++s)
        if (c.placement.expert_of[static_cast<std::size_t>(s)] == e) slots.push_back(s);
      end.push_back(static_cast<std::int32_t>(slots.size()));
    }
  }
};

TEST(token_kernels, place_tokens_as_the_host_does) {
  std::int64_t dropped_by_source = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    routed_tokens_case const c(seed, seed % 2 == 1);
    least_device device(seed);
    expert_tables<least_device> tables;
    tables.set(device, c.shape, c.placement, c.owners);
    auto const to = tables.tables(0);
    hosted_slots const hosted(c);
    if (c.sources) {
      auto const width = static_cast<std::size_t>(c.experts);
      std::vector<std::int64_t> counts(static_cast<std::size_t>(c.ranks) * width),
          shares(c.shares.size(), -1);
      for (std::size_t i = 0; i < counts.size(); ++i)
        counts[i] =
            std::count(c.expert_of_token[i / width].begin(), c.expert_of_token[i / width].end(),
                       static_cast<std::int32_t>(i % width));
      for (std::size_t i = 0; i < shares.size(); ++i)
        take_source_room{to,
                         c.sources->room(c.tokens, c.experts),
                         tables.first_slot_of_rank(),
                         counts.data(),
                         hosted.slots.data(),
                         hosted.end.data(),
                         shares.data()}(static_cast<std::int64_t>(i));
      EXPECT_EQ(shares, c.shares);
    }
    for (rank_id const r : c.routing.live()) {
      auto const self = tables.peer_of(r);
      auto const expected = c.rows_of(r);
      for (auto const& own : tables.owned_by(self)) {
        std::vector<std::int64_t> row(static_cast<std::size_t>(c.placement.slots()));
        for (std::int64_t s = 0; s < c.placement.slots(); ++s)
          first_rows{to, c.shares.data(), self, own.nth, row.data()}(s);
        std::vector<std::int64_t> place(static_cast<std::size_t>(c.tokens));
        auto const& experts = c.expert_of_token[static_cast<std::size_t>(own.microbatch)];
        for (std::int64_t t = 0; t < c.tokens; ++t)
          place_token{experts.data(),
                      place.data(),
                      c.shares.data() + std::ptrdiff_t{own.microbatch} * c.placement.slots(),
                      row.data(),
                      hosted.slots.data(),
                      hosted.end.data(),
                      c.tokens,
                      {c.sources ? &c.iteration : nullptr, c.sources ? c.sources->seed : 0, 0,
                       own.microbatch}}(t);
        EXPECT_EQ(place, expected[static_cast<std::size_t>(own.nth)]);
        if (!c.sources) continue;
        // those that the public rule names
        auto const kept = random_claimants(experts, c.experts, c.sources->room(c.tokens, c.experts),
                                           c.sources->seed, {c.iteration, 0, own.microbatch});
        for (std::int64_t t = 0; t < c.tokens; ++t) {
          bool const stays = std::find(kept.begin(), kept.end(), t) != kept.end();
          EXPECT_EQ(place[static_cast<std::size_t>(t)] >= 0, stays);
          dropped_by_source += !stays;
        }
      }

      auto const arrivals = c.routing.arrivals(c.shares, r);
      auto const slots = static_cast<std::size_t>(tables.slots_of(self)),
                 all = slots * static_cast<std::size_t>(c.ranks);
      std::vector<std::int64_t> start(all), end(all);
      find_arrivals const find{to, c.shares.data(), self, start.data(), end.data()};
      for (std::size_t s = 0; s < slots; ++s) {
        find(static_cast<std::int64_t>(s));
        std::int64_t before = 0;
        std::size_t run = 0;
        for (std::size_t k = 0; k < static_cast<std::size_t>(c.ranks); ++k) {
          auto const at = s * static_cast<std::size_t>(c.ranks) + k;
          if (end[at] == before) continue;  // no token of this micro-batch
          ASSERT_LT(run, arrivals[s].size());
          EXPECT_EQ(arrivals[s][run].row, start[at]);
          EXPECT_EQ(arrivals[s][run].count, end[at] - before);
          before = end[at];
          ++run;
        }
        EXPECT_EQ(run, arrivals[s].size());
      }

      for (bool const to_slots : {true, false}) {
        std::vector<std::int64_t> bytes(c.routing.live().size()), found(bytes.size());
        c.routing.count_bytes(c.shares, r, to_slots, 12, bytes);
        for (std::size_t peer = 0; peer < found.size(); ++peer)
          count_routed{to, c.shares.data(), self, to_slots, 12, found.data()}(
              static_cast<std::int64_t>(peer));
        EXPECT_EQ(found, bytes);
      }
    }
  }
  EXPECT_GT(dropped_by_source, 100);
}

TEST(token_kernels, dense_gradients_are_summed_and_zeroed) {
  std::int64_t const no = 0;
  for (auto const* const condition : {static_cast<std::int64_t const*>(nullptr), &no}) {
    std::vector<float> gradient{2, -4, std::numeric_limits<float>::quiet_NaN(), 1000};
    std::vector<std::int64_t> sums(4, 1), unfit(2, 0);
    for (std::int64_t lane = 0; lane < 2; ++lane)
      add_dense_gradient{gradient.data(), 4, 2, 2, sums.data(), unfit.data(), condition}(lane);
    EXPECT_EQ(gradient, std::vector<float>(4, 0));
    if (condition) {
      EXPECT_EQ(sums, std::vector<std::int64_t>(4, 1));
      continue;
    }
    EXPECT_EQ(sums, (std::vector<std::int64_t>{1 + (std::int64_t{1} << 40),
                                               1 - (std::int64_t{1} << 41), 1, 1}));
    EXPECT_EQ(unfit, (std::vector<std::int64_t>{1, 1}));
  }
}

}  // namespace
}  // namespace shunt::tests::token_kernels_test
