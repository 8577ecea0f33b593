#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "shunt/measure/moved_bytes.hpp"
#include "shunt/program/builder.hpp"

namespace shunt::tests::moved_bytes_test {
namespace {

TEST(moved_bytes, counts_one_of_each) {
  shunt::program_builder b(3);
  for (rank_id r : shunt::ids<rank_id>(3))
    for (int i = 0; i < 2; ++i) b.buffer(r, 96, true);
  auto const at = [](byte_count offset, byte_count size, std::int32_t buffer = 0) {
    return region{buffer, offset, size};
  };
  auto const number = shunt::element::int64;
  b.message(0, at(0, 24), 1, at(24, 24));    // network 24
  b.message(1, at(0, 16), 1, at(80, 16));    // within 16
  b.copy(1, at(80, 16), at(0, 16, 1));       // local 16
  b.add(1, number, at(40, 8), at(0, 8));     // has just arrived
  b.add(1, number, at(40, 8), at(0, 8, 1));  // likewise
  b.add(1, number, at(80, 8), at(0, 8));     // within 8
  b.fill(1, at(24, 8));
  b.add(1, number, at(24, 8),
        at(0, 8, 1));  // local 8: something else was written over what arrived
  auto const group = b.group({2, 0, 1});
  for (rank_id r : shunt::ids<rank_id>(3)) {
    b.all_reduce(r, group, number, shunt::reduction::sum, at(0, 8));  // network 2 * 2 * 8
    b.reduce_scatter(r, group, number, shunt::reduction::sum, at(0, 24),
                     at(24, 8));                   // network 2 * 24
    b.all_gather(r, group, at(0, 8), at(24, 24));  // network 2 * 24
  }
  auto const moved = shunt::bytes_moved(std::move(b).finish());
  EXPECT_EQ(moved, (shunt::moved_bytes{.network = 24 + 32 + 48 + 48, .local = 24, .within = 24}));
  EXPECT_EQ(moved.logical(), 152 + 24);
}

TEST(moved_bytes, receives_count_as_far_as_ranks_have_come) {
  shunt::program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 96, true);
  b.message(0, {0, 0, 24}, 1, {0, 0, 24});
  b.copy(1, {0, 0, 8}, {0, 40, 8});
  b.message(0, {0, 0, 16}, 1, {0, 24, 16});
  b.message(1, {0, 0, 32}, 0, {0, 32, 32});
  auto const p = std::move(b).finish();
  auto const received = [&](shunt::progress first, shunt::progress second) {
    return shunt::bytes_received(p, {first, second});
  };
  EXPECT_EQ(received({1, 0}, {1, 0}), 24 + 16 + 32);
  EXPECT_EQ(received({1, 0}, {1, 0}), shunt::bytes_moved(p).network);
  EXPECT_EQ(received({0, 2}, {0, 0}), 0);  // all that was sent is under way
  EXPECT_EQ(received({0, 2}, {0, 2}), 24);
  EXPECT_EQ(received({0, 3}, {0, 3}), 24 + 16 + 32);
}

}  // namespace
}  // namespace shunt::tests::moved_bytes_test
