#include "shunt/launch/own_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/scratch_directory.hpp"

namespace shunt::tests::own_directory_test {
namespace {

namespace files = std::filesystem;

TEST(own_directory, is_made_for_nobody_else) {
  scratch_directory const at;
  EXPECT_EQ(own_directory(at.path), "");
  EXPECT_EQ(own_directory(at.path + "/a/b"), "");
  EXPECT_EQ(files::status(at.path + "/a/b").permissions(), files::perms::owner_all);
  EXPECT_EQ(own_directory(at.path + "/a/b"), "");
}

TEST(own_directory, may_not_be_open_to_all_users_or_no_directory) {
  scratch_directory const at;
  files::permissions(at.path, files::perms::group_all | files::perms::others_read,
                     files::perm_options::add);
  EXPECT_EQ(own_directory(at.path), "");
  files::permissions(at.path, files::perms::others_write, files::perm_options::add);
  EXPECT_EQ(own_directory(at.path), "all users can write to it");
  std::ofstream(at.path + "/file") << 1;
  EXPECT_NE(own_directory(at.path + "/file"), "");
  EXPECT_NE(own_directory(at.path + "/file/inside"), "");
  EXPECT_NE(own_directory("/proc/nowhere"), "");
  EXPECT_NE(open_directory(at.path), "");
  EXPECT_EQ(open_directory("/tmp"), "");
  EXPECT_EQ(open_directory(at.path + "/nowhere"), "");
}

}  // namespace
}  // namespace shunt::tests::own_directory_test
