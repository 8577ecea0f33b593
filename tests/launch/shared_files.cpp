#include "shunt/launch/shared_files.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/launch/disk_files.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::shared_files_test {
namespace {

TEST(shared_files, an_error_knows_who_is_absent_and_whether_all_came) {
  rendezvous_failed const absent("run: these ranks did not come", {1, 4}), apart("why", {}, true);
  EXPECT_STREQ(absent.what(), "run: these ranks did not come");
  EXPECT_EQ(absent.absent(), (std::vector<rank_id>{1, 4}));
  EXPECT_FALSE(absent.unconnected());
  EXPECT_TRUE(apart.unconnected());
}

TEST(shared_files, a_file_is_replaced_whole) {
  scratch_directory const at;
  disk_files const files;
  EXPECT_FALSE(replace_file(files, at.path + "/draft", at.path + "/file", "one"));
  EXPECT_FALSE(replace_file(files, at.path + "/draft", at.path + "/file", "two"));
  EXPECT_EQ(files.read(at.path + "/file"), "two");
  EXPECT_FALSE(files.exists(at.path + "/draft"));
  EXPECT_TRUE(replace_file(files, at.path + "/nowhere/draft", at.path + "/file", "three"));
  EXPECT_EQ(files.read(at.path + "/file"), "two");
}

}  // namespace
}  // namespace shunt::tests::shared_files_test
