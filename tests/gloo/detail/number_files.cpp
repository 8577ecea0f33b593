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
  gloo_config const config{.directory = at.path};
  auto const file = at.path + "/numbers";
  EXPECT_EQ(read_numbers(config, file), std::nullopt);
  for (numbers const& all : {numbers{}, numbers{0}, numbers{-3, 7, 1'000'000},
                             numbers{std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()}}) {
    EXPECT_FALSE(config.files->write(file, as_text(all)));
    EXPECT_EQ(read_numbers(config, file), all);
  }
}

TEST(number_files, end_at_what_is_no_number) {
  scratch_directory const at;
  auto const file = at.path + "/numbers";
  gloo_config const config{.directory = at.path};
  std::ofstream(file) << "1  2 three 4";
  EXPECT_EQ(read_numbers(config, file), (numbers{1, 2}));
  std::ofstream(file) << "99999999999999999999";
  EXPECT_EQ(read_numbers(config, file), numbers{});
}

}  // namespace
}  // namespace shunt::tests::number_files_test
