#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/rendezvous.hpp"
#include "shunt/gloo/mesh.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::rendezvous_test {
namespace {

using namespace detail;

using namespace std::chrono_literals;

TEST(rendezvous, says_who_did_not_come) {
  {
    scratch_directory const at;
    std::signal(SIGPIPE, SIG_DFL);
    EXPECT_THROW(gloo_mesh({.directory = at.path}, 0, {0}, 0), rendezvous_failed);
    std::signal(SIGPIPE, SIG_IGN);
  }
  scratch_directory const at;
  try {
    gloo_mesh const net({.directory = at.path, .patience = 50ms}, 0, {0, 2, 7}, 2);
    FAIL() << "met nobody";
  } catch (rendezvous_failed const& error) {
    EXPECT_NE(
        std::string(error.what()).find("after 50 ms these ranks did not come to epoch0: 0, 7"),
        std::string::npos)
        << error.what();
  }
  try {  // it has signed in above, and is still there for all that this one knows
    gloo_mesh const net({.directory = at.path, .patience = 50ms}, 0, {0, 2, 7}, 2);
    FAIL() << "came twice";
  } catch (rendezvous_failed const& error) {
    EXPECT_NE(std::string(error.what()).find("rank 2 is there already, in epoch0"),
              std::string::npos)
        << error.what();
  }
  EXPECT_THROW(gloo_mesh({.directory = at.path}, 1, {0, 1}, 2), std::invalid_argument);
  EXPECT_THROW(gloo_mesh({.directory = "/proc/nowhere"}, 0, {0}, 0), rendezvous_failed);
  EXPECT_THROW(gloo_mesh({.directory = at.path, .interface = "no-such-interface"}, 2, {0}, 0),
               rendezvous_failed);
}

}  // namespace
}  // namespace shunt::tests::rendezvous_test
