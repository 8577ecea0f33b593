#include "shunt/launch/worker_end.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

namespace shunt::tests::worker_end_test {
namespace {

TEST(worker_end, an_error_is_one_line_and_goes_on) {
  std::vector<std::string> said;
  report_sink const say = [&](report_line const& line) { said.push_back(line.text()); };
  auto const work = [](report_sink const& to) {
    try {
      throw std::runtime_error("two\nlines");
    } catch (std::exception const& error) {
      report_and_rethrow(to, error);
    }
  };
  EXPECT_THROW(work(say), std::runtime_error);
  EXPECT_EQ(said, std::vector<std::string>{"{\"report\":\"error\",\"why\":\"two lines\"}\n"});
  EXPECT_EQ(status_of_worker(say, work), 2);
  EXPECT_EQ(status_of_worker(say, [](report_sink const&) {}), 0);
  // Where it can't be said, it goes on all the same.
  EXPECT_THROW(work([](report_line const&) { throw std::logic_error("no pipe"); }),
               std::runtime_error);
}

TEST(worker_end, a_kill_is_sent_at_once_or_asked_for) {
  auto const signal_of = [](bool by_starter) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_t const child = ::fork();
    if (child == 0) kill_this_process(report_to(ends[1]), by_starter);
    ::close(ends[1]);
    char bytes[64];
    auto const count = ::read(ends[0], bytes, sizeof bytes);
    EXPECT_EQ(std::string(bytes, static_cast<std::size_t>(count)),
              by_starter ? "{\"report\":\"kill_request\"}\n" : "");
    ::close(ends[0]);
    if (by_starter) ::kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  EXPECT_EQ(signal_of(false), SIGKILL);
  EXPECT_EQ(signal_of(true), SIGKILL);
}

TEST(worker_end, the_first_error_says_why) {
  first_error first;
  EXPECT_EQ(first.why(), "");
  first.receive("the rendezvous was given up");
  first.receive("port in use");
  first.receive("another");
  EXPECT_EQ(first.why(), "port in use");
}

}  // namespace
}  // namespace shunt::tests::worker_end_test
