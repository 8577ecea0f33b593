// Popularity and dispatch of routed tokens on the GPU, and the rows that travel.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/cuda/dispatch.cuh"
#include "shunt/cuda/launch.cuh"
#include "shunt/cuda/on_stream.cuh"
#include "shunt/cuda/popularity.cuh"
#include "shunt/device/row_copies.hpp"
#include "support/device_array.hpp"

namespace {

using shunt::tests::device_array;

class TokenKernels : public shunt::tests::on_gpu {};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::vector<std::int32_t> routed(std::mt19937_64& random, std::int32_t n, std::int32_t experts) {
  std::vector<std::int32_t> out;
  for (std::int32_t i = 0; i < n; ++i) {
    auto const e = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(experts + 1));
    out.push_back(e * e / (experts + 1) - (random() % 16 == 0 ? experts : 0));
  }
  for (auto& e : out)
    if (e < 0 || e >= experts) e = -1;
  return out;
}

TEST_F(TokenKernels, PopularityCounts) {
  std::mt19937_64 random(81);
  for (std::int32_t const experts : {1, 16, 256, 1000}) {
    std::int32_t const n = 100000;
    auto const tokens = routed(random, n, experts);
    std::vector<std::int64_t> wanted(at(experts), 0);
    for (auto const e : tokens)
      if (e >= 0) ++wanted[at(e)];
    shunt::popularity_count count(n, experts);
    device_array<unsigned char> const workspace(count.workspace_bytes());
    device_array<std::int64_t> const counts(std::vector<std::int64_t>(at(experts), 77));
    device_array<std::int32_t> const ids(tokens);
    launch_captured([&] { count(ids.data(), n, counts.data(), workspace.data(), stream()); },
                    [](int) {});
    ASSERT_EQ(counts.values(), wanted) << experts << " experts";
  }
}

/// Two slots an expert, in order; a dispatch captured once sends whatever was routed when it is
/// launched.
TEST_F(TokenKernels, DispatchFillsSlotsInOrder) {
  std::mt19937_64 random(82);
  std::int32_t const experts = 64, slots = 2 * experts, n = 20000;
  std::vector<std::int32_t> hosted, hosted_end;
  std::vector<std::int64_t> share, first_row;
  std::int64_t rows = 0;
  for (std::int32_t e = 0; e < experts; ++e) {
    hosted.insert(hosted.end(), {e, e + experts});
    hosted_end.push_back(2 * e + 2);
  }
  for (std::int32_t s = 0; s < slots; ++s) {
    share.push_back(static_cast<std::int64_t>(random() % 200));
    first_row.push_back(rows);
    rows += share.back() + 1;
  }
  device_array<std::int32_t> ids(routed(random, n, experts));
  device_array<std::int32_t> const d_hosted(hosted), d_end(hosted_end), row_of(at(n)),
      token_of(at(rows)), order(at(n)), first(at(experts));
  device_array<std::uint32_t> const sorted(at(n));
  device_array<std::int64_t> const d_share(share), d_first(first_row);
  std::int64_t const row_bytes = 48;
  std::vector<unsigned char> rows_of_tokens(at(n * row_bytes));
  for (auto& x : rows_of_tokens) x = static_cast<unsigned char>(random());
  device_array<unsigned char> const from(rows_of_tokens);
  device_array<unsigned char> to(std::vector<unsigned char>(at(rows * row_bytes), 0xee));
  shunt::stream_memory memory(stream());
  auto tokens = ids.values();
  launch_captured(
      [&] {
        shunt::dispatch_tokens(shunt::on_stream(memory),
                               shunt::token_dispatch{.n = n,
                                                     .experts = experts,
                                                     .rows = rows,
                                                     .expert_of_token = ids.data(),
                                                     .tokens = d_share.data(),
                                                     .hosted = d_hosted.data(),
                                                     .hosted_end = d_end.data(),
                                                     .first_row = d_first.data(),
                                                     .row_of = row_of.data(),
                                                     .token_of = token_of.data(),
                                                     .sorted = sorted.data(),
                                                     .order = order.data(),
                                                     .first = first.data()});
        shunt::run_rows(shunt::gather_rows{from.data(), to.data(), row_bytes, token_of.data()},
                        static_cast<std::int32_t>(rows), row_bytes / 16, stream());
      },
      [&](int launch) {
        if (launch == 1) {
          ids.set(tokens = routed(random, n, experts));
          to.set(std::vector<unsigned char>(at(rows * row_bytes), 0xee));
        }
      });

  std::vector<std::int32_t> wanted_row(at(n), -1), wanted_token(at(rows), -1);
  std::vector<std::int64_t> used(at(slots), 0);
  std::int64_t drops = 0;
  for (std::int32_t t = 0; t < n; ++t) {
    for (std::int32_t s = tokens[at(t)]; s >= 0 && s < slots && wanted_row[at(t)] < 0; s += experts)
      if (used[at(s)] < share[at(s)])
        wanted_row[at(t)] = static_cast<std::int32_t>(first_row[at(s)] + used[at(s)]++);
    if (wanted_row[at(t)] >= 0) wanted_token[at(wanted_row[at(t)])] = t;
    drops += wanted_row[at(t)] < 0;
  }
  EXPECT_GT(drops, 100);
  ASSERT_EQ(row_of.values(), wanted_row);
  ASSERT_EQ(token_of.values(), wanted_token);
  auto const gathered = to.values();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t k = 0; k < row_bytes; ++k)
      ASSERT_EQ(gathered[at(row * row_bytes + k)],
                wanted_token[at(row)] < 0
                    ? 0xee
                    : rows_of_tokens[at(wanted_token[at(row)] * row_bytes + k)]);
}

}  // namespace
