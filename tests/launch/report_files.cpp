#include "shunt/launch/report_files.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/launch/disk_files.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::report_files_test {
namespace {

using namespace std::chrono_literals;
using heard = std::vector<std::pair<int, std::string>>;

launched_process rank(std::int32_t r) {
  return {.rank = r, .size = 3, .rank_variable = "RANK", .size_variable = "WORLD_SIZE"};
}

heard read(report_files const& reports, std::vector<rank_id> const& dead) {
  heard all;
  reports.read(
      3, dead, 200ms, [](std::string_view line) { return line.find("end") != line.npos; },
      [&](rank_id r, std::string const& line) { all.emplace_back(r.value(), line); });
  return all;
}

TEST(report_files, are_read_rank_after_rank) {
  scratch_directory const at;
  auto const files = std::make_shared<disk_files const>();
  report_files const two(files, at.path, rank(2), false), zero(files, at.path, rank(0), false);
  two.sink()(report_line("end"));
  zero.sink()(report_line("plan"));
  zero.sink()(report_line("end"));
  report_files const again(files, at.path, rank(0), true);  // in a dead one's place
  again.sink()(report_line("end").with("n", 2));
  ASSERT_FALSE(files->append(at.path + "/report2/lines", "{\"report\":\"half"));
  heard const expected{{0, "{\"report\":\"plan\"}"},
                       {0, "{\"report\":\"end\"}"},
                       {0, "{\"report\":\"end\",\"n\":2}"},
                       {2, "{\"report\":\"end\"}"}};
  auto const begun = std::chrono::steady_clock::now();
  EXPECT_EQ(read(two, {1}), expected);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 150ms) << "waited for one that is dead";
  EXPECT_EQ(read(two, {}), expected);
}

TEST(report_files, are_lost_where_the_directory_has_vanished) {
  scratch_directory const at;
  std::filesystem::create_directory(at.path + "/run");
  report_files const one(std::make_shared<disk_files const>(), at.path + "/run", rank(1), false);
  auto const say = one.sink();
  say(report_line("plan"));
  std::filesystem::remove_all(at.path + "/run");
  say(report_line("end"));
  EXPECT_EQ(read(one, {0, 1, 2}), heard{});
  EXPECT_FALSE(std::filesystem::exists(at.path + "/run"));
}

TEST(report_files, are_of_one_process_a_rank) {
  scratch_directory const at;
  auto const files = std::make_shared<disk_files const>();
  report_files const one(files, at.path, rank(1), false);
  try {
    report_files const other(files, at.path, rank(1), false);
    FAIL();
  } catch (invalid_problem const& error) {
    EXPECT_EQ(std::string(error.what()),
              "RANK: 1 is in " + at.path +
                  " already: two processes have this rank, or the directory is left over from "
                  "another run");
  }
  EXPECT_THROW(report_files(files, at.path + "/nowhere", rank(1), false), rendezvous_failed);
}

}  // namespace
}  // namespace shunt::tests::report_files_test
