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

}  // namespace
}  // namespace shunt::tests::moved_bytes_test
