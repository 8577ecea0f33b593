#include "shunt/launch/supervised_workers.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shunt::tests::supervised_workers_test {
namespace {

using namespace std::chrono_literals;

/// Keeps what it is told.
struct account {
  std::map<rank_id, std::vector<std::string>> said{};
  std::vector<rank_id> kills{};
  std::string why = "it can't";
  bool under_way = true;

  void receive(rank_id r, std::string_view line) { said[r].emplace_back(reported(line)); }
  void killed(rank_id r, ticks at) {
    EXPECT_GT(at, 0);
    kills.push_back(r);
  }
  bool begun() const { return under_way; }
  bool ended(rank_id r) const { return said.contains(r) && said.at(r).back() == "end"; }
  std::string const& error() const { return why; }
};
static_assert(worker_account<account>);

std::string named(rank_id r) { return "rank " + std::to_string(r.value()); }
std::string line(std::string const& what) { return "echo '{\"report\":\"" + what + "\"}' >&3; "; }

/// Workers that run a script of the shell each.
struct shells {
  account heard{};
  std::vector<rank_id> started{}, left{};
  supervised_workers<account> workers;

  explicit shells(std::chrono::milliseconds patience = 30s)
      : workers("sh", {"sh", "-c"}, heard,
                {.patience = patience,
                 .name = named,
                 .starts = [this](rank_id r) { started.push_back(r); },
                 .ended = [this](rank_id r) { left.push_back(r); }}) {}

  std::string refusal() {
    try {
      workers.watch();
    } catch (std::runtime_error const& error) {
      return error.what();
    }
    return "";
  }
};

TEST(supervised_workers, are_heard_to_the_end) {
  shells run;
  run.workers.start(0, {line("record") + "echo no report >&3; " + line("end")});
  run.workers.start(4, {line("end")});
  run.workers.watch();
  EXPECT_EQ(run.heard.said[0], (std::vector<std::string>{"record", "end"}));
  EXPECT_EQ(run.heard.said[4], std::vector<std::string>{"end"});
  EXPECT_EQ(run.started, (std::vector<rank_id>{0, 4}));
  EXPECT_EQ(run.left.size(), 2U);
  EXPECT_FALSE(run.workers.running(0));
}

TEST(supervised_workers, are_killed_where_they_or_the_caller_ask_for_it) {
  shells run;
  run.workers.start(0, {line("kill_request") + "exec sleep 1000"});
  run.workers.start(1, {"exec sleep 1000"});
  bool once = false;
  run.workers.watch(
      [&] {
        if (!std::exchange(once, true)) run.workers.kill(1);
        return 1ms;
      },
      [](rank_id) { return false; });
  EXPECT_EQ(run.heard.kills, (std::vector<rank_id>{1, 0}));
}

TEST(supervised_workers, have_so_much_patience_with_the_others_after_an_end) {
  shells run(0ms);
  run.workers.start(0, {line("end")});
  run.workers.start(1, {"exec sleep 1000"});
  run.workers.watch([] { return 1ms; }, [](rank_id) { return false; });
  EXPECT_FALSE(run.workers.running(1));
}

TEST(supervised_workers, come_again_in_the_place_of_one) {
  shells run;
  run.workers.start(3, {line("kill_request") + "exec sleep 1000"});
  bool again = false;
  run.workers.watch(
      [&] {
        if (!run.workers.running(3) && !std::exchange(again, true))
          run.workers.start(3, {line("end")});
        return 1ms;
      },
      [&](rank_id) { return !again; });
  EXPECT_TRUE(again);
  EXPECT_EQ(run.started, (std::vector<rank_id>{3, 3}));
  EXPECT_EQ(run.left, std::vector<rank_id>{3});
  EXPECT_TRUE(run.heard.ended(3));
}

TEST(supervised_workers, that_cannot_begin_end_the_run) {
  shells says;
  says.heard.under_way = false;
  says.workers.start(2, {line("error") + "exec sleep 1000"});
  EXPECT_EQ(says.refusal(), "rank 2: it can't");
  shells silent;
  silent.heard.under_way = false;
  silent.workers.start(1, {"exit 0"});
  EXPECT_EQ(silent.refusal(), "rank 1 ended before training had begun");
  shells broken;
  broken.heard.under_way = false;
  broken.workers.start(1, {"kill -ABRT $$"});
  EXPECT_EQ(broken.refusal(),
            "rank 1 ended before training had begun, by signal " + std::to_string(SIGABRT));
}

}  // namespace
}  // namespace shunt::tests::supervised_workers_test
