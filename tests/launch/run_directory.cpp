#include "shunt/launch/run_directory.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "shunt/core/error.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::run_directory_test {
namespace {

namespace files = std::filesystem;

TEST(run_directory, is_there_while_its_run_is) {
  scratch_directory const at;
  std::string path;
  {
    run_directory const own(at.path + "/new");
    path = own.path();
    EXPECT_TRUE(path.starts_with(at.path + "/new/shunt.")) << path;
    std::ofstream(path + "/file") << "text";
    run_directory const other(at.path + "/new");  // leaves the first alone
    EXPECT_TRUE(files::exists(path + "/file"));
    EXPECT_NE(other.path(), path);
  }
  EXPECT_FALSE(files::exists(at.path + "/new"));
}

TEST(run_directory, of_a_run_that_was_killed_is_removed_by_the_next) {
  scratch_directory const at;
  pid_t const child = ::fork();
  if (child == 0) {
    run_directory const own(at.path);
    ::raise(SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  files::create_directory(at.path + "/shunt.young1");  // has no owner yet
  files::create_directory(at.path + "/other");
  ASSERT_EQ(std::distance(files::directory_iterator(at.path), {}), 3);
  { run_directory const next(at.path); }
  EXPECT_EQ(std::distance(files::directory_iterator(at.path), {}), 2);
  EXPECT_TRUE(files::exists(at.path + "/shunt.young1"));
}

TEST(run_directory, is_refused_with_the_name_of_the_option) {
  try {
    run_directory const own("/proc/nowhere", "rendezvous");
    FAIL();
  } catch (invalid_problem const& error) {
    EXPECT_EQ(error.field(), "rendezvous");
    EXPECT_TRUE(std::string(error.what()).starts_with("rendezvous: cannot create /proc/nowhere: "))
        << error.what();
  }
}

}  // namespace
}  // namespace shunt::tests::run_directory_test
