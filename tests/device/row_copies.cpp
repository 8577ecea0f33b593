#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/row_copies.hpp"
#include "support/emulated_kernels.hpp"

namespace shunt::tests::row_copies_test {
namespace {

using namespace emulated_kernels;

TEST(row_copies, rows_are_gathered) {
  std::mt19937_64 random(25);
  for (std::int64_t const bytes : {1, 3, 4, 12, 16, 48, 160}) {
    std::vector<unsigned char> from(at(7 * bytes)), to(at(9 * bytes), std::uint8_t{0xee});
    for (auto& x : from) x = static_cast<unsigned char>(random());
    std::vector<std::int32_t> const source_of{13, -1, 0, 5, 4, 12, -1, 1, 9};
    emulate_rows(shunt::gather_rows{from.data(), to.data(), bytes, source_of.data(), 2}, 9, 3);
    for (std::int64_t row = 0; row < 9; ++row)
      for (std::int64_t k = 0; k < bytes; ++k) {
        auto const source = source_of[at(row)];
        ASSERT_EQ(to[at(row * bytes + k)], source < 0 ? 0xee : from[at(source / 2 * bytes + k)])
            << bytes << " row " << row;
      }
  }
}

}  // namespace
}  // namespace shunt::tests::row_copies_test
