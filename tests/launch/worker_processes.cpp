#include "shunt/launch/worker_processes.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <map>
#include <string>
#include <system_error>
#include <vector>

namespace shunt::tests::worker_processes_test {
namespace {

using namespace std::chrono_literals;

/// The lines of all workers, by number, until all have ended.
std::map<std::size_t, std::vector<std::string>> lines_of(worker_processes& all) {
  std::map<std::size_t, std::vector<std::string>> lines;
  while (auto const events = all.listen(200ms))
    for (auto const& e : *events)
      if (e.line) lines[e.worker].push_back(*e.line);
  return lines;
}

TEST(worker_processes, say_lines_and_end) {
  worker_processes all("sh", {"sh", "-c"});
  all.start(7, {"echo one >&3; printf 'tw' >&3; echo o >&3; printf half >&3; exit 3"});
  all.start(8, {"echo $0 >&3", "named"});
  auto const lines = lines_of(all);
  EXPECT_EQ(lines.at(0), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(lines.at(1), std::vector<std::string>{"named"});
  ASSERT_EQ(all.workers().size(), 2U);
  EXPECT_EQ(all.workers()[0].rank, 7);
  EXPECT_FALSE(all.workers()[0].running());
  EXPECT_EQ(WEXITSTATUS(*all.workers()[0].status), 3);
}

TEST(worker_processes, are_killed_on_request_and_in_the_end) {
  pid_t second = 0;
  {
    worker_processes all("sleep", {"sleep", "1000"});
    all.start(0);
    second = all.start(1);
    all.kill(0);
    bool ended = false;
    while (!ended) {
      auto const events = all.listen(200ms);
      ASSERT_TRUE(events);
      for (auto const& e : *events) ended = ended || (e.worker == 0 && !e.line);
    }
    EXPECT_TRUE(all.workers()[0].killed);
    EXPECT_TRUE(WIFSIGNALED(*all.workers()[0].status));
    EXPECT_TRUE(all.workers()[1].running());
    EXPECT_EQ(::kill(second, 0), 0);
  }
  EXPECT_NE(::kill(second, 0), 0);
}

TEST(worker_processes, cannot_run_a_program_that_is_not_there) {
  worker_processes all("/nowhere/program", {"program"});
  try {
    all.start(0);
    FAIL();
  } catch (std::system_error const& error) {
    EXPECT_STREQ(error.what(), "no worker can run /nowhere/program: No such file or directory");
  }
  EXPECT_TRUE(all.workers().empty());
  EXPECT_FALSE(all.listen(1ms));
}

TEST(worker_processes, are_interrupted) {
  worker_processes all("sleep", {"sleep", "1000"});
  all.start(0);
  ::raise(SIGINT);
  EXPECT_THROW((void)all.listen(10s), run_interrupted);
}

}  // namespace
}  // namespace shunt::tests::worker_processes_test
