#include "shunt/launch/launched_rendezvous.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "shunt/core/error.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::launched_rendezvous_test {
namespace {

using namespace std::chrono_literals;

/// MASTER_ADDR and MASTER_PORT, of a port that was free.
class master {
 public:
  master() {
    { port = rendezvous_server({}).port(); }
    ::setenv("MASTER_ADDR", "127.0.0.1", 1);
    ::setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
    ::unsetenv("TORCHELASTIC_USE_AGENT_STORE");
  }
  master(master const&) = delete;
  master& operator=(master const&) = delete;
  ~master() {
    ::unsetenv("MASTER_ADDR");
    ::unsetenv("MASTER_PORT");
  }
  std::uint16_t port = 0;
};

launched_process rank(std::int32_t r) { return {.rank = r, .size = 2}; }

std::string refusal(std::int32_t r, launched_rendezvous::config const& how, bool joins = false) {
  try {
    launched_rendezvous const place(rank(r), joins, how);
  } catch (invalid_problem const& error) {
    return error.what();
  }
  return "";
}

TEST(launched_rendezvous, in_a_directory_wins) {
  scratch_directory const at;
  master const set;
  launched_rendezvous const place(rank(0), false, {.directory = at.path});
  EXPECT_EQ(place.directory(), at.path + "/shunt");
  EXPECT_FALSE(place.open_to_all());
  ASSERT_FALSE(place.files()->write(place.directory() + "/a", "text"));
  EXPECT_TRUE(std::filesystem::exists(at.path + "/shunt/a"));
  place.clear();
  EXPECT_FALSE(std::filesystem::exists(at.path + "/shunt"));
}

TEST(launched_rendezvous, is_refused_where_there_is_none) {
  ::unsetenv("MASTER_ADDR");
  ::unsetenv("MASTER_PORT");
  EXPECT_EQ(refusal(0, {}),
            "SHUNT_RENDEZVOUS: names no directory to meet in, and MASTER_ADDR no host");
  auto const nowhere = refusal(0, {.directory = "/proc/nowhere"});
  EXPECT_TRUE(nowhere.starts_with("SHUNT_RENDEZVOUS: cannot meet in /proc/nowhere/shunt: "))
      << nowhere;
  scratch_directory const at;
  std::filesystem::create_directory(at.path + "/shunt");
  std::filesystem::permissions(at.path + "/shunt", std::filesystem::perms::owner_all);
  std::filesystem::permissions(at.path, std::filesystem::perms::all);
  EXPECT_EQ(refusal(0, {.directory = at.path}),
            "SHUNT_RENDEZVOUS: " + at.path +
                " belongs to another user, or all users can write to it");
}

TEST(launched_rendezvous, at_a_port_is_held_by_rank_0_until_the_others_have_left) {
  master const set;
  launched_rendezvous::config const how{.key = "secret", .patience = 20s};
  auto zero = std::make_unique<launched_rendezvous>(rank(0), false, how);
  auto one = std::make_unique<launched_rendezvous>(rank(1), false, how);
  EXPECT_FALSE(zero->open_to_all());
  EXPECT_EQ(one->directory(), "127.0.0.1:" + std::to_string(set.port));
  ASSERT_FALSE(one->files()->write("a", "text"));
  EXPECT_EQ(zero->files()->read("a"), "text");
  one->clear();
  std::jthread const leaves([&] {
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(one->files()->read("a"), "text");
    one.reset();
  });
  zero.reset();
  EXPECT_EQ(refusal(1, {.key = "secret", .patience = 20ms}),
            "MASTER_ADDR: 127.0.0.1:" + std::to_string(set.port) +
                ": cannot be reached within 20 ms: Connection refused");
}

TEST(launched_rendezvous, says_what_is_wrong_with_the_port) {
  master const set;
  launched_rendezvous const zero(rank(0), false, {.patience = 20s});
  EXPECT_TRUE(zero.open_to_all());
  EXPECT_EQ(refusal(0, {}), "MASTER_PORT: is " + std::to_string(set.port) +
                                ", which another program uses on this host");
  EXPECT_EQ(refusal(0, {.patience = 20s}, true), "");  // comes again, and holds nothing
  EXPECT_EQ(refusal(1, {.key = "another"}),
            "SHUNT_RENDEZVOUS_KEY: is another one at 127.0.0.1:" + std::to_string(set.port));
  ::setenv("MASTER_ADDR", "no host of that name", 1);
  auto const unknown = refusal(0, {});
  EXPECT_TRUE(unknown.starts_with("MASTER_ADDR: cannot listen at no host of that name:"))
      << unknown;
}

}  // namespace
}  // namespace shunt::tests::launched_rendezvous_test
