#include "shunt/gloo/detail/number_files.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <vector>

#include "support/scratch_directory.hpp"

namespace shunt::tests::number_files_test {
namespace {

using namespace detail;
using numbers = std::vector<std::int64_t>;

TEST(number_files, are_read_as_they_were_written) {
  scratch_directory const at;
  auto const file = at.path + "/numbers";
  EXPECT_EQ(read_numbers(file), std::nullopt);
  for (numbers const& all : {numbers{}, numbers{0}, numbers{-3, 7, 1'000'000},
                             numbers{std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()}}) {
    EXPECT_FALSE(write_numbers(file, all));
    EXPECT_EQ(read_numbers(file), all);
  }
  EXPECT_TRUE(write_numbers(at.path + "/nowhere/numbers", numbers{1}));
}

TEST(number_files, end_at_what_is_no_number) {
  scratch_directory const at;
  auto const file = at.path + "/numbers";
  std::ofstream(file) << "1  2 three 4";
  EXPECT_EQ(read_numbers(file), (numbers{1, 2}));
  std::ofstream(file) << "99999999999999999999";
  EXPECT_EQ(read_numbers(file), numbers{});
}

}  // namespace
}  // namespace shunt::tests::number_files_test
