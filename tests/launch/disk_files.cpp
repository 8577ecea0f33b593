#include "shunt/launch/disk_files.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <system_error>

#include "support/scratch_directory.hpp"

namespace shunt::tests::disk_files_test {
namespace {

disk_files const on;

TEST(disk_files, are_written_renamed_and_linked) {
  scratch_directory const at;
  auto const in = [&](char const* name) { return at.path + "/" + name; };
  EXPECT_FALSE(on.exists(in("a")));
  EXPECT_EQ(on.read(in("a")), std::nullopt);
  EXPECT_FALSE(on.write(in("a"), "one"));
  EXPECT_FALSE(on.write(in("b"), "two"));
  EXPECT_EQ(on.read(in("a")), "one");
  EXPECT_FALSE(on.link(in("a"), in("c")));
  EXPECT_EQ(on.link(in("b"), in("c")), std::errc::file_exists);
  EXPECT_FALSE(on.rename(in("b"), in("a")));  // replaces it
  EXPECT_EQ(on.read(in("a")), "two");
  EXPECT_EQ(on.read(in("c")), "one");
  EXPECT_TRUE(on.rename(in("b"), in("a")));
  on.remove(in("c"));
  on.remove(in("c"));
  EXPECT_FALSE(on.exists(in("c")));
  EXPECT_TRUE(on.write(in("nowhere/a"), "one"));
  EXPECT_TRUE(on.append(in("nowhere/a"), "one"));
  EXPECT_FALSE(on.append(in("lines"), "one\n"));
  EXPECT_FALSE(on.append(in("lines"), "two\n"));
  EXPECT_EQ(on.read(in("lines")), "one\ntwo\n");
}

TEST(disk_files, one_process_makes_a_directory) {
  scratch_directory const at;
  EXPECT_FALSE(on.make_directory(at.path + "/rank"));
  EXPECT_EQ(on.make_directory(at.path + "/rank"), std::errc::file_exists);
  EXPECT_EQ(on.make_directory(at.path + "/nowhere/rank"), std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace shunt::tests::disk_files_test
