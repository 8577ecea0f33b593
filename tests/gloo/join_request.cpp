#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/join_request.hpp"

namespace shunt::tests::join_request_test {
namespace {

using namespace detail;

using namespace std::chrono_literals;

TEST(join_request, is_for_one_epoch) {
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  gloo_config const config{.directory = directory};
  EXPECT_THROW((void)await_join_request(config, 2, 20ms), rendezvous_failed);
  join_request const note{3, 17, {0, 1, 2}, {2, 3}};
  request_join(config, 2, 0, note);
  request_join(config, 2, 1, note);  // all members say the same
  EXPECT_EQ(await_join_request(config, 2, 0ms), note);
  EXPECT_THROW((void)await_join_request(config, 1, 20ms), rendezvous_failed);
  std::filesystem::create_directory(directory + "/epoch3.rank2");  // somebody has come
  EXPECT_THROW((void)await_join_request(config, 2, 20ms), rendezvous_failed);
  request_join(config, 2, 0, {5, 20, {0, 2}, {1, 2, 3}});
  EXPECT_EQ(await_join_request(config, 2, 0ms).epoch, 5);
  std::filesystem::remove_all(directory);
  request_join(config, 2, 0, note);  // it is made again
  EXPECT_EQ(await_join_request(config, 2, 0ms), note);
  std::filesystem::remove_all(directory);
  EXPECT_THROW(request_join({.directory = "/proc/nowhere"}, 2, 0, note), rendezvous_failed);
}

}  // namespace
}  // namespace shunt::tests::join_request_test
