#include "shunt/gloo/detail/unreached.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/number_files.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::unreached_test {
namespace {

using namespace detail;
using all = std::vector<rank_id>;
using numbers = std::vector<std::int64_t>;

/// Who is left out of these members where each of the pairs says that it cannot reach the others.
all left_out(all const& members,
             std::vector<std::pair<rank_id, std::vector<std::int64_t>>> const& say) {
  scratch_directory const at;
  gloo_config const config{.directory = at.path};
  for (auto const& [r, others] : say)
    EXPECT_FALSE(config.files->write(failed_sign(config, 4, r), as_text(others)));
  return unreached(config, 4, members);
}

TEST(unreached, as_few_as_it_takes) {
  EXPECT_EQ(left_out({0, 1, 2, 3}, {}), all{});
  EXPECT_EQ(left_out({0, 1, 2, 3}, {{0, {1, 2, 3}}}), all{0});
  EXPECT_EQ(left_out({0, 1, 2, 3}, {{1, {0}}, {2, {0}}}), all{0});
  EXPECT_EQ(left_out({0, 1, 2, 3}, {{0, {1}}, {1, {0}}}), all{1});  // of two the higher
  EXPECT_EQ(left_out({0, 1, 2, 3}, {{0, {2, 3}}, {1, {2, 3}}}), (all{2, 3}));
  EXPECT_EQ(left_out({1, 4, 6}, {{4, {0, 6}}, {0, {1, 4}}}), all{6});  // rank 0 is no member
}

// They have no state yet: who has it stays, though fewer reach it.
TEST(unreached, new_processes_first) {
  scratch_directory const at;
  gloo_config const config{.directory = at.path};
  EXPECT_FALSE(config.files->write(failed_sign(config, 3, 1), as_text(numbers{})));
  EXPECT_FALSE(config.files->write(failed_sign(config, 4, 1), as_text(numbers{0})));
  EXPECT_FALSE(config.files->write(at.path + "/invitation0", as_text(numbers{3, 5})));
  EXPECT_EQ(unreached(config, 4, {0, 1, 2}), all{0});
  EXPECT_FALSE(config.files->write(at.path + "/invitation0",
                                   as_text(numbers{2, 5})));  // it has met them since
  EXPECT_EQ(unreached(config, 4, {0, 1, 2}), all{1});
}

}  // namespace
}  // namespace shunt::tests::unreached_test
