#include "shunt/gloo/detail/insist.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <system_error>

#include "shunt/gloo/config.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::insist_test {
namespace {

using namespace detail;
using namespace std::chrono_literals;

TEST(insist, repeats_what_fails_for_a_while) {
  scratch_directory const at;
  int tries = 0;
  insist<host_platform>({.directory = at.path}, [&] {
    return ++tries < 4 ? std::make_error_code(std::errc::no_space_on_device) : std::error_code{};
  });
  EXPECT_EQ(tries, 4);
}

TEST(insist, gives_up_after_patience) {
  scratch_directory const at;
  int tries = 0;
  EXPECT_THROW(insist<host_platform>({.directory = at.path, .patience = 20ms},
                                     [&] {
                                       ++tries;
                                       return std::make_error_code(std::errc::no_space_on_device);
                                     }),
               rendezvous_failed);
  EXPECT_GT(tries, 1);
}

TEST(insist, makes_the_directory_or_gives_up_at_once) {
  scratch_directory const at;
  insist<host_platform>({.directory = at.path + "/new"}, [] { return std::error_code{}; });
  EXPECT_TRUE(std::filesystem::is_directory(at.path + "/new"));
  int tries = 0;
  EXPECT_THROW(insist<host_platform>({.directory = "/proc/nowhere", .patience = 60s},
                                     [&] {
                                       ++tries;
                                       return std::error_code{};
                                     }),
               rendezvous_failed);
  EXPECT_EQ(tries, 0);
}

}  // namespace
}  // namespace shunt::tests::insist_test
