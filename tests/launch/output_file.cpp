#include "shunt/launch/output_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "shunt/core/error.hpp"
#include "support/refusals.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::output_file_test {
namespace {

namespace files = std::filesystem;

std::string content_of(files::path const& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void put(files::path const& path, std::string const& content) {
  std::ofstream(path, std::ios::binary) << content;
}
auto count_in(files::path const& folder) {
  return std::distance(files::directory_iterator(folder), files::directory_iterator());
}

TEST(output_file, replaces_what_was_there_and_leaves_nothing_beside_it) {
  scratch_directory const scratch;
  auto const path = files::path(scratch.path) / "plan.csv";
  output_file("--csv-out", path).write("one");
  EXPECT_EQ(content_of(path), "one");
  files::permissions(path, files::perms::owner_read | files::perms::owner_write);
  output_file("--csv-out", path).write("two");
  EXPECT_EQ(content_of(path), "two");
  EXPECT_EQ(files::status(path).permissions(),
            files::perms::owner_read | files::perms::owner_write);
  EXPECT_EQ(count_in(scratch.path), 1);
}

TEST(output_file, what_is_there_stays_until_all_is_written) {
  scratch_directory const scratch;
  auto const path = files::path(scratch.path) / "plan.csv";
  put(path, "kept");
  output_file const opened("--csv-out", path);
  EXPECT_EQ(content_of(path), "kept");
  // The file has become a folder meanwhile: it can't be replaced, and no part is left over.
  files::remove(path);
  files::create_directory(path);
  EXPECT_EQ(thrown_by([&] { opened.write("lost"); }),
            "--csv-out: " + path.string() + " can't be put in its place: Is a directory");
  EXPECT_EQ(count_in(scratch.path), 1);
}

TEST(output_file, links_keep_pointing_and_devices_are_written_directly) {
  scratch_directory const scratch;
  auto const path = files::path(scratch.path) / "plan.csv",
             link = files::path(scratch.path) / "link";
  files::create_symlink("plan.csv", link);
  output_file("--csv-out", link).write("through");
  EXPECT_EQ(content_of(path), "through");
  output_file("--csv-out", link).write("again");
  EXPECT_TRUE(files::is_symlink(link));
  EXPECT_EQ(content_of(path), "again");
  output_file("--csv-out", "/dev/null").write("nothing");
  EXPECT_FALSE(files::is_regular_file("/dev/null"));
  EXPECT_EQ(thrown_by([] { output_file("--csv-out", "/dev/full").write("text"); }),
            "--csv-out: /dev/full can't be written: No space left on device");
}

TEST(output_file, what_cannot_be_written_is_found_before) {
  scratch_directory const scratch;
  auto const below = scratch.path + "/no/such.csv";
  EXPECT_EQ(thrown_by([&] { output_file("--csv-out", below); }),
            "--csv-out: " + below + " can't be opened: No such file or directory");
  EXPECT_EQ(thrown_by([&] { output_file("--csv-out", scratch.path); }),
            "--csv-out: " + scratch.path + " can't be opened: Is a directory");
  put(scratch.path + "/file", "");
  EXPECT_EQ(thrown_by([&] { output_folder("out", scratch.path + "/file"); }),
            "out: can't make " + scratch.path + "/file: Not a directory");
  output_folder("out", scratch.path + "/a/b").text("c", "d");
  EXPECT_EQ(content_of(scratch.path + "/a/b/c"), "d");
}

}  // namespace
}  // namespace shunt::tests::output_file_test
