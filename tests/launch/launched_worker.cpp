#include "shunt/launch/launched_worker.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "support/scratch_directory.hpp"

namespace shunt::tests::launched_worker_test {
namespace {

using namespace std::chrono_literals;

TEST(launched_worker, reports_and_one_reads_all) {
  scratch_directory const at;
  launched_rendezvous::config const how{.directory = at.path, .patience = 5s};
  launched_worker const zero({.rank = 0, .size = 3}, false, how),
      one({.rank = 1, .size = 3}, false, how);
  EXPECT_EQ(zero([](report_sink const& say) {
              say(report_line("loss").with("is", 2.5));
              say(report_line("end"));
              return 7;
            }),
            7);
  one([](report_sink const& say) { say(report_line("error").with("why", "it can't")); });
  std::vector<std::string> heard;
  zero.read(3, {2}, [&](rank_id r, std::string const& line) {
    heard.push_back(std::to_string(r.value()) + " " + std::string(reported(line)));
  });
  EXPECT_EQ(heard, (std::vector<std::string>{"0 loss", "0 end", "1 error"}));
  EXPECT_FALSE(std::filesystem::exists(zero.place().directory()));
}

TEST(launched_worker, the_first_that_lives_speaks) {
  scratch_directory const at;
  launched_worker const four({.rank = 4, .size = 6}, false, {.directory = at.path});
  EXPECT_FALSE(four.speaks({}));
  EXPECT_TRUE(four.speaks({0, 1, 2, 3}));
  EXPECT_TRUE(four.speaks({1}, 1, 3));
  EXPECT_FALSE(four.speaks({}, 1, 3));
}

TEST(launched_worker, clears_the_place_of_those_that_never_came) {
  scratch_directory const at;
  launched_worker const zero({.rank = 0, .size = 2}, false, {.directory = at.path});
  auto const fail = [&](std::vector<rank_id> const& absent) {
    zero([&](report_sink const&) { throw rendezvous_failed("nobody", absent); });
  };
  EXPECT_THROW(fail({}), rendezvous_failed);
  EXPECT_TRUE(std::filesystem::exists(zero.place().directory()));
  EXPECT_THROW(fail({1}), rendezvous_failed);
  EXPECT_FALSE(std::filesystem::exists(zero.place().directory()));
}

}  // namespace
}  // namespace shunt::tests::launched_worker_test
