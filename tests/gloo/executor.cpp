// Training that goes on while its processes are killed: the driver of `execute/recovery.hpp`, once
// in every process.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/launch/rendezvous_client.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::tests::executor_test {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t ranks = 4, microbatches = 6;
constexpr std::int64_t iterations = 40;
constexpr buffer_id state = 0, gradient = 1;

/// Data-parallel training of one number: doing anything twice, in part or with the wrong state
/// shows.
class counting {
 public:
  counting() : of_(ranks) {}

  void operator()(rank_id r, task const& t) {
    auto& me = of_[r.index()];
    if (t.op.kind == op_kind::step) {
      me.kept = me.number[0];
      me.stepped = t.iteration;
      me.number[0] = me.number[0] * 3 % 1'000'003 + me.number[8] + t.iteration;
    } else {
      me.number[8] += (me.number[0] ^ (t.iteration * 100 + t.op.microbatch.value())) % 1009;
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(&of_[r.index()].number[8 * b.index()], 1));
  }
  void restore(rank_id r, std::int64_t iteration) {
    auto& me = of_[r.index()];
    if (me.stepped < iteration) return;
    if (me.stepped > iteration) throw std::logic_error("more than one step to undo");
    me.number[0] = me.kept;
    me.stepped = iteration - 1;
  }
  [[nodiscard]] std::int64_t number(rank_id r) const { return of_[r.index()].number[0]; }

 private:
  struct alignas(64) memory {
    std::int64_t number[16]{11};  // the buffers, 64 bytes each: [0] is the state, [8] the gradient
    std::int64_t kept = 0, stepped = -1;
  };
  std::vector<memory> of_;
};

std::optional<program> plan(std::span<rank_id const> dead) {
  program_builder b(ranks);
  std::vector<rank_id> live;
  for (rank_id const r : ids<rank_id>(ranks)) {
    b.buffer(r, state, 8, true);
    b.buffer(r, gradient, 8);
    if (!std::binary_search(dead.begin(), dead.end(), r)) live.push_back(r);
  }
  region const weights{state, 0, 8}, sum{gradient, 0, 8};
  for (rank_id const r : live) b.fill(r, sum);
  for (std::int32_t m = 0; m < microbatches; ++m)
    b.compute(live[static_cast<std::size_t>(m) % live.size()],
              {.kind = op_kind::backward, .microbatch = m}, {weights, sum}, {sum});
  auto const every_rank = b.group(live);
  for (rank_id const r : live) {
    if (live.size() > 1) b.all_reduce(r, every_rank, element::int64, reduction::sum, sum);
    b.compute(r, {.kind = op_kind::step}, {sum, weights}, {weights});
  }
  return std::move(b).finish();
}

/// What an undisturbed run ends with.
std::int64_t expected() {
  counting w;
  auto session = inline_executor{}.open(w);
  for (std::int64_t k = 0; k < iterations; ++k) session.submit(*plan({}));
  (void)session.wait();
  return w.number(0);
}

struct process_state {
  pid_t process = 0;
  int status() const {
    int how = 0;
    waitpid(process, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
  }
};

/// What a test does to its processes, and what it expects of them.
struct scenario {
  std::vector<failure_point> failures{};
  std::vector<join> joins{};
  std::vector<rank_id> dead{};  ///< in the end
  std::vector<std::vector<rank_id>>
      losses{};                               ///< one after another, where the test is sure of them
  std::optional<rank_id> dies_in_recovery{};  ///< from the first loss
  bool one_by_one = false;                    ///< a session for each iteration
  bool over_port = false;                     ///< they meet in the memory of the test's process
};

/// A live rank's state for the one that comes.
std::optional<program> transfer(rank_id joining, std::span<rank_id const> dead) {
  program_builder b(ranks);
  for (rank_id const r : ids<rank_id>(ranks)) b.buffer(r, state, 8, true);
  for (rank_id const r : ids<rank_id>(ranks))
    if (!std::binary_search(dead.begin(), dead.end(), r)) {
      b.message(r, {state, 0, 8}, joining, {state, 0, 8});
      return std::move(b).finish();
    }
  return std::nullopt;
}

/// A process: 0 where it ends with the right number after all iterations, with these ranks dead.
int train(gloo_config const& config, rank_id self, scenario const& what, std::int64_t wanted,
          bool joins = false) {
  std::signal(SIGPIPE, SIG_IGN);
  counting w;
  recovery plan_of_run{.end = iterations, .joins = what.joins};
  auto const here = [&]() -> gloo_executor {
    if (!joins) return {config, ranks, self, what.failures};
    auto const asked = await_join_request(config, self, 60'000ms);
    plan_of_run.first = asked.iteration;
    plan_of_run.dead = asked.dead;
    return {config, ranks, self, asked};
  }();
  auto const plan_or_die = [&](std::span<rank_id const> dead) {
    if (what.dies_in_recovery == self && !dead.empty()) std::raise(SIGKILL);
    return plan(dead);
  };
  std::int64_t heard = plan_of_run.first;
  auto const go_on = [&] {
    return run_through_losses(
        here, w, plan_of_run, plan_or_die,
        [&](completed_iteration const& done) {
          if (done.iteration != heard++)
            throw std::logic_error("an iteration was announced out of turn");
        },
        transfer);
  };
  recovery_report report;
  if (what.one_by_one) {
    std::vector<loss> all;
    for (std::int64_t k = 0; k < iterations; ++k) {
      plan_of_run.first = k;
      plan_of_run.end = k + 1;
      plan_of_run.dead = report.dead;
      report = go_on();
      all.insert(all.end(), report.losses.begin(), report.losses.end());
    }
    report.losses = std::move(all);
    if (here.epoch() < iterations) return 7;
    int met = 0;
    for (auto const& file : std::filesystem::directory_iterator(config.directory))
      met += file.path().filename().string().ends_with(".rank" + std::to_string(self.value()));
    if (met != 1 + static_cast<int>(report.losses.size()))
      return 8;  // where nobody is lost they go on over the mesh they have
  } else {
    report = go_on();
  }
  if (report.end != iterations || heard != iterations) return 2;
  if (report.dead != what.dead) return 3;
  if (w.number(self) != wanted) return 4;
  for (std::size_t n = 0; n < what.losses.size() && !joins; ++n)
    if (n >= report.losses.size() || report.losses[n].ranks != what.losses[n]) return 5;
  for (loss const& l : report.losses)
    if (l.noticed <= 0 || l.agree <= 0 || l.detect < 0 || (l.redo > 0 && l.rebuild <= 0)) return 6;
  return 0;
}

/// Exit statuses by rank, then those of the processes that joined; minus the signal where one ended
/// it.
std::vector<int> run(scenario const& what) {
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  std::int64_t const wanted = expected();
  std::optional<rendezvous_server> server;
  if (what.over_port) server.emplace(rendezvous_server::config{.key = "secret"});
  std::vector<process_state> all;
  auto const start = [&](rank_id r, bool joins) {
    pid_t const child = fork();
    if (child == 0) {
      int status = 99;
      try {
        gloo_config config{.directory = directory, .silence = 3000ms, .patience = 60'000ms};
        if (server)
          config.files = std::make_shared<rendezvous_client const>(rendezvous_client::config{
              .host = "127.0.0.1", .port = server->port(), .key = "secret"});
        status = train(config, r, what, wanted, joins);
      } catch (std::exception const& error) {
        fprintf(stderr, "rank %d: %s\n", r.value(), error.what());
      }
      _exit(status);
    }
    all.push_back({child});
  };
  for (rank_id const r : ids<rank_id>(ranks)) start(r, false);
  for (join const& j : what.joins) start(j.rank, true);
  std::vector<int> statuses;
  for (process_state const& l : all) statuses.push_back(l.status());
  std::filesystem::remove_all(directory);
  return statuses;
}

TEST(executor, train_undisturbed) { EXPECT_EQ(run({}), (std::vector<int>{0, 0, 0, 0})); }

TEST(executor, go_on_when_one_dies) {
  std::mt19937_64 random(5);
  for (rank_id const r : {rank_id{0}, rank_id{3}}) {
    failure_point const f{r, static_cast<std::int64_t>(random() % iterations),
                          static_cast<std::int32_t>(random() % 5)};
    SCOPED_TRACE("rank " + std::to_string(r.value()) + " iteration " + std::to_string(f.iteration));
    std::vector<int> statuses(4, 0);
    statuses[r.index()] = -SIGKILL;
    EXPECT_EQ(run({.failures = {f}, .dead = {r}, .losses = {{r}}}), statuses);
  }
}

TEST(executor, go_on_when_one_after_another_dies) {
  EXPECT_EQ(run({.failures = {{2, 3, 1}, {0, 17, 4}, {3, 39, 2}},
                 .dead = {0, 2, 3},
                 .losses = {{2}, {0}, {3}}}),
            (std::vector<int>{-SIGKILL, 0, -SIGKILL, -SIGKILL}));
}

TEST(executor, go_on_when_two_die_at_once) {
  EXPECT_EQ(run({.failures = {{1, 11, 2}, {2, 11, 2}}, .dead = {1, 2}}),
            (std::vector<int>{0, -SIGKILL, -SIGKILL, 0}));
}

// Between two epochs there is no mesh but the old one: it is enough to know that nobody need wait
// for the second that dies.
TEST(executor, go_on_when_one_dies_while_others_recover) {
  auto const begun = std::chrono::steady_clock::now();
  EXPECT_EQ(run({.failures = {{1, 11, 2}},
                 .dead = {1, 2},
                 .losses = {{1}, {2}},
                 .dies_in_recovery = rank_id{2}}),
            (std::vector<int>{0, -SIGKILL, -SIGKILL, 0}));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 40s)
      << "somebody waited until its patience ended";
}

// Sessions between which nobody is lost share a mesh; whoever dies in one or between two is missed
// by the next.
TEST(executor, go_on_from_session_to_session) {
  EXPECT_EQ(run({.one_by_one = true}), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(run({.failures = {{2, 7, 1}, {0, 20, 3}},
                 .dead = {0, 2},
                 .losses = {{2}, {0}},
                 .one_by_one = true}),
            (std::vector<int>{-SIGKILL, 0, -SIGKILL, 0}));
  for (std::int32_t i = 0; i < 6; ++i)  // at every instruction, and after the last
    EXPECT_EQ(run({.failures = {{1, 3, i}}, .dead = {1}, .one_by_one = true}),
              (std::vector<int>{0, -SIGKILL, 0, 0}))
        << i;
}

TEST(executor, a_new_one_comes_in_a_dead_ones_place) {
  EXPECT_EQ(run({.failures = {{2, 7, 1}}, .joins = {{2, 20}}, .losses = {{2}}}),
            (std::vector<int>{0, 0, -SIGKILL, 0, 0}));
}

// The first that comes has missed everything the others said before; the second gets its state from
// whoever is the lowest then.
TEST(executor, new_ones_come_again_and_again) {
  EXPECT_EQ(
      run({.failures = {{0, 3, 3}, {2, 12, 1}}, .joins = {{0, 10}, {2, 30}}, .losses = {{0}, {2}}}),
      (std::vector<int>{-SIGKILL, 0, -SIGKILL, 0, 0, 0}));
}

// Without a directory: in the memory of a process, behind its port.
TEST(executor, meet_at_a_port) {
  EXPECT_EQ(run({.over_port = true}), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(run({.failures = {{0, 3, 3}, {2, 12, 1}},
                 .joins = {{0, 10}},
                 .dead = {2},
                 .losses = {{0}, {2}},
                 .over_port = true}),
            (std::vector<int>{-SIGKILL, 0, -SIGKILL, 0, 0}));
}

TEST(executor, say_at_once_that_the_rendezvous_has_gone) {
  std::signal(SIGPIPE, SIG_IGN);
  std::optional<rendezvous_server> server(std::in_place, rendezvous_server::config{});
  counting w;
  gloo_executor const here({.directory = "run",
                            .files = std::make_shared<rendezvous_client const>(
                                rendezvous_client::config{"127.0.0.1", server->port()}),
                            .patience = 60'000ms},
                           ranks, 1);
  auto const begun = std::chrono::steady_clock::now();
  std::jthread const ends([&] {
    std::this_thread::sleep_for(50ms);
    server.reset();
  });
  try {
    (void)here.open(w);
    ADD_FAILURE() << "began without the others";
  } catch (rendezvous_failed const& error) {
    EXPECT_NE(std::string(error.what()).find("the process that held the rendezvous has gone"),
              std::string::npos)
        << error.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST(executor, say_who_is_missing_at_the_start) {
  std::signal(SIGPIPE, SIG_IGN);
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  counting w;
  gloo_executor const here({.directory = directory, .patience = 50ms}, ranks, 1);
  try {
    (void)here.open(w);
    ADD_FAILURE() << "began without the others";
  } catch (rendezvous_failed const& error) {
    EXPECT_EQ(error.absent(), (std::vector<rank_id>{0, 2, 3}));
  }
  std::filesystem::remove_all(directory);
}

TEST(executor, refuse_programs_for_others) {
  std::signal(SIGPIPE, SIG_IGN);
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  counting w;
  gloo_executor const here({.directory = directory}, 1, 0);
  {
    auto session = here.open(w);
    EXPECT_THROW(session.submit(*plan({})), invalid_program);
    EXPECT_EQ(session.wait().done[0], (progress{0, 0}));
    EXPECT_THROW(session.submit(*plan({})), std::logic_error);
  }
  EXPECT_EQ(here.epoch(), 1);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace shunt::tests::executor_test
