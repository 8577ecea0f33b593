#include "shunt/train/aligned_bytes.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace shunt::tests::aligned_bytes_test {
namespace {

TEST(aligned_bytes, start_at_multiples_of_the_alignment) {
  for (std::size_t size = 1; size < 300; size += 7) {
    aligned_bytes const bytes(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % buffer_alignment, 0U);
  }
  EXPECT_EQ(aligned(0), 0);
  EXPECT_EQ(aligned(1), 64);
  EXPECT_EQ(aligned(64), 64);
  EXPECT_EQ(aligned(65), 128);
}

TEST(aligned_bytes, are_read_as_numbers) {
  aligned_bytes bytes(20);
  auto const numbers = as<std::int64_t>(bytes);
  ASSERT_EQ(numbers.size(), 2U) << "the rest of the bytes is left out";
  numbers[1] = -1;
  EXPECT_EQ(bytes[8], std::byte{0xff});
}

}  // namespace
}  // namespace shunt::tests::aligned_bytes_test
