#include "shunt/gloo/detail/connections.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>

#include "shunt/gloo/config.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::connections_test {
namespace {

using namespace std::chrono_literals;

TEST(connections, addresses_are_found_once_they_are_left) {
  scratch_directory const here;
  gloo_config const config{.directory = here.path};
  ASSERT_FALSE(config.files->write(here.path + "/peer", std::string("a\0b", 3)));
  EXPECT_EQ(detail::await_address(config, here.path + "/peer", 10s, [] { return false; }),
            std::string("a\0b", 3));
}

TEST(connections, addresses_are_not_waited_for_longer_than_patience_or_in_vain) {
  scratch_directory const here;
  gloo_config const config{.directory = here.path};
  try {
    (void)detail::await_address(config, here.path + "/nobody", 5ms, [] { return false; });
    FAIL();
  } catch (std::runtime_error const& e) {
    EXPECT_STREQ(e.what(), "a peer left no address");
  }
  auto const begun = std::chrono::steady_clock::now();
  EXPECT_THROW((void)detail::await_address(config, here.path + "/nobody", 60s, [] { return true; }),
               std::runtime_error);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

}  // namespace
}  // namespace shunt::tests::connections_test
