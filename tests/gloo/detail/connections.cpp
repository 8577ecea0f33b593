#include "shunt/gloo/detail/connections.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/scratch_directory.hpp"

namespace shunt::tests::connections_test {
namespace {

using namespace std::chrono_literals;

TEST(connections, addresses_are_found_once_they_are_left) {
  scratch_directory const here;
  detail::addresses store(here.path, 10s, [] { return false; });
  store.set("peer", std::vector<char>{'a', 'b'});
  EXPECT_EQ(store.get("peer"), (std::vector<char>{'a', 'b'}));
}

TEST(connections, addresses_are_not_waited_for_longer_than_patience_or_in_vain) {
  scratch_directory const here;
  detail::addresses impatient(here.path, 5ms, [] { return false; });
  try {
    impatient.wait({"nobody"});
    FAIL();
  } catch (std::runtime_error const& e) {
    EXPECT_STREQ(e.what(), "a peer left no address");
  }
  auto const begun = std::chrono::steady_clock::now();
  detail::addresses hopeless(here.path, 60s, [] { return true; });
  EXPECT_THROW(hopeless.wait({"nobody"}), std::runtime_error);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

}  // namespace
}  // namespace shunt::tests::connections_test
