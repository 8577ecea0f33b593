// Processes that meet over Gloo, run programs, and really die.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../engine/toys.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"

namespace shunt {
namespace {

using namespace std::chrono_literals;
using namespace toys;

/// A directory of its own, gone in the end.
struct meeting_place {
  std::string path;
  meeting_place() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~meeting_place() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

std::vector<rank_id> everyone(std::int32_t ranks) {
  std::vector<rank_id> all;
  for (std::int32_t r = 0; r < ranks; ++r) all.emplace_back(r);
  return all;
}

/// Runs a function as a process each; its answer is the exit status, 99 where it throws.
class processes {
 public:
  template <class F>
  processes(std::int32_t ranks, F const& f) {
    for (rank_id const r : ids<rank_id>(ranks)) {
      pid_t const child = fork();
      if (child == 0) {
        int status = 99;
        std::signal(SIGPIPE, SIG_IGN);
        try {
          status = f(r);
        } catch (std::exception const& error) {
          fprintf(stderr, "rank %d: %s\n", r.value(), error.what());
        }
        _exit(status);
      }
      children_.push_back(child);
    }
  }
  ~processes() {
    for (std::size_t i = 0; i < children_.size(); ++i)
      if (children_[i] > 0) {
        kill(children_[i], SIGKILL);
        waitpid(children_[i], nullptr, 0);
      }
  }
  void signal(rank_id r, int what) { kill(children_[r.index()], what); }
  /// The exit status, or minus the signal that ended it.
  int status(rank_id r) {
    int how = 0;
    waitpid(children_[r.index()], &how, 0);
    children_[r.index()] = -1;
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
  }

 private:
  std::vector<pid_t> children_;
};

void pass_round(gloo_mesh& net, std::int64_t token) {
  auto const& all = net.members();
  auto const at =
      static_cast<std::size_t>(std::find(all.begin(), all.end(), net.rank()) - all.begin());
  std::int64_t got = 0;
  net.send(all[(at + 1) % all.size()], 3, std::as_bytes(std::span(&token, 1)));
  net.receive(all[(at + all.size() - 1) % all.size()], 3,
              std::as_writable_bytes(std::span(&got, 1)));
  if (got != token) throw std::logic_error("another token came round");
}

// The conformance of other executors, on processes: every rank of a random program ends with the
// memory that the reference gives it.
TEST(gloo_mesh, programs_give_what_the_reference_gives) {
  dice d(21);
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    auto p = random_program(d);
    tie_lanes(p);
    mixing_work reference(p);
    inline_executor{}.run(p, reference);
    meeting_place const at;
    auto const ranks = static_cast<std::int32_t>(p.ranks.size());
    processes all(ranks, [&](rank_id r) {
      mixing_work own(p);
      gloo_mesh net({.directory = at.path}, 0, everyone(ranks), r);
      rank_loop<gloo_mesh, mixing_work> loop(net, own, 0, stopwatch{});
      loop.run(p, [](std::int32_t) {});
      net.close();
      if (!net.lost().empty()) return 2;
      for (buffer_id b : ids<buffer_id>(p.ranks[r].buffers.size()))
        if (!std::ranges::equal(own.buffer(r, b), reference.buffer(r, b))) return 3;
      return 0;
    });
    for (rank_id r : ids<rank_id>(ranks)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
  }
}

// Killed and stopped processes are noticed, the survivors agree, meet again under their old numbers
// and go on; who was stopped finds itself fenced off when it wakes up.
TEST(gloo_mesh, survivors_agree_and_go_on) {
  constexpr std::int32_t ranks = 5;
  for (int const how : {SIGKILL, SIGSTOP}) {
    SCOPED_TRACE(how == SIGKILL ? "killed" : "stopped");
    meeting_place const at;
    processes all(ranks, [&](rank_id self) {
      gloo_config const config{.directory = at.path, .silence = 1500ms};
      auto members = everyone(ranks);
      std::int64_t rounds = 0;
      for (std::int32_t epoch = 0; epoch < 2; ++epoch) {
        gloo_mesh net(config, epoch, members, self);
        try {
          for (;; ++rounds) {
            if (epoch == 1 && rounds >= 1000) {
              net.close();
              return net.lost().empty() && members == std::vector<rank_id>({0, 2, 3}) ? 0 : 4;
            }
            pass_round(net, rounds);
            if (epoch == 0 && rounds == 20 && self == 4) raise(how);
          }
        } catch (std::exception const& error) {
          if (!dynamic_cast<peer_lost const*>(&error) && !dynamic_cast<run_aborted const*>(&error))
            throw;
          if (epoch == 0 && self == 1) raise(how);  // before it can agree
          std::vector<survivor> left;
          try {
            left = agree(config, epoch, members, self, [&] { return net.lost(); }, rounds);
          } catch (fenced_off const&) {
            return 5;
          }
          members.clear();
          std::int64_t least = rounds;
          for (survivor const& s : left) {
            members.push_back(s.rank);
            least = std::min(least, s.note);
          }
          if (rounds - least >= ranks) return 6;  // in a ring a rank gets no further than that
          rounds = 990;
        }
      }
      return 7;
    });
    for (rank_id const r : {rank_id{0}, rank_id{2}, rank_id{3}})
      EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
    for (rank_id const r : {rank_id{1}, rank_id{4}}) {
      if (how == SIGSTOP) all.signal(r, SIGCONT);
      EXPECT_EQ(all.status(r), how == SIGKILL ? -SIGKILL : 5) << "rank " << r.value();
    }
  }
}

// A peer that takes nothing for a while, not as long as to be lost, gets all in the end: what it
// was sent is kept until then.
TEST(gloo_mesh, a_peer_may_be_slow_to_read) {
  meeting_place const at;
  processes all(2, [&](rank_id self) {
    gloo_mesh net({.directory = at.path, .silence = 10'000ms}, 0, everyone(2), self);
    pass_round(net, 0);
    if (self == 1) raise(SIGSTOP);
    for (std::int64_t n = 1; self == 0 && n <= 300; ++n, std::this_thread::sleep_for(1ms)) {
      net.tell(n);
      net.send(1, 5, std::as_bytes(std::span(&n, 1)));
    }
    for (std::int64_t n = 1, got = 0; self == 1 && n <= 300; ++n) {
      net.receive(0, 5, std::as_writable_bytes(std::span(&got, 1)));
      if (got != n) return 2;
    }
    net.tell(300);
    if (!net.told_by_all(300)) return 3;
    for (std::int64_t n = 0; n < 100; ++n) pass_round(net, n);
    net.close();
    return net.lost().empty() ? 0 : 4;
  });
  std::this_thread::sleep_for(1500ms);
  all.signal(1, SIGCONT);
  for (rank_id const r : ids<rank_id>(2)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
}

// Rank 1 has no patience and takes the slow rank 0 for lost, and nobody else does. All the same
// nobody may wait for the two of them. In the end all are left, or all but rank 0 where it signs in
// too late.
TEST(gloo_mesh, who_lost_nobody_is_called_off_by_who_did) {
  meeting_place const at;
  processes all(3, [&](rank_id self) {
    gloo_config const config{.directory = at.path, .silence = self == 1 ? 200ms : 8000ms};
    gloo_mesh net(config, 0, everyone(3), self);
    std::atomic<bool> over = false;
    std::thread talk([&] {  // rank 2 is heard of all the time
      for (std::int64_t n = 1; self == 2 && !over; ++n, std::this_thread::sleep_for(5ms))
        net.tell(n);
    });
    auto const begun = std::chrono::steady_clock::now();
    bool const all_told = net.told_by_all(1'000'000);
    bool const soon = std::chrono::steady_clock::now() - begun < 4s;
    int aborted = self == 1;
    if (self != 1) try {
        std::int64_t got = 0;
        net.receive(1, 3, std::as_writable_bytes(std::span(&got, 1)));
      } catch (run_aborted const&) {
        aborted = net.lost().empty();
      } catch (peer_lost const&) {
        aborted = self == 0;  // rank 1 speaks to it no more
      }
    std::vector<survivor> left{{1, 7}, {2, 7}};
    bool late = false;
    try {
      left = agree(config, 0, everyone(3), self, [&] { return net.lost(); }, 7);
    } catch (fenced_off const&) {
      late = self == 0;
    }
    over = true;
    talk.join();
    std::vector<survivor> const three{{0, 7}, {1, 7}, {2, 7}}, two{{1, 7}, {2, 7}};
    return all_told                                                ? 1
           : !soon                                                 ? 2
           : !aborted                                              ? 3
           : left == three || (left == two && (self != 0 || late)) ? 0
                                                                   : 4;
  });
  for (rank_id const r : ids<rank_id>(3)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
}

TEST(gloo_mesh, says_who_did_not_come) {
  {
    meeting_place const at;
    std::signal(SIGPIPE, SIG_DFL);
    EXPECT_THROW(gloo_mesh({.directory = at.path}, 0, {0}, 0), no_mesh);
    std::signal(SIGPIPE, SIG_IGN);
  }
  meeting_place const at;
  try {
    gloo_mesh const net({.directory = at.path, .patience = 50ms}, 0, {0, 2, 7}, 2);
    FAIL() << "met nobody";
  } catch (no_mesh const& error) {
    EXPECT_NE(
        std::string(error.what()).find("after 50 ms these ranks did not come to epoch0: 0, 7"),
        std::string::npos)
        << error.what();
  }
  try {  // it has signed in above, and is still there for all that this one knows
    gloo_mesh const net({.directory = at.path, .patience = 50ms}, 0, {0, 2, 7}, 2);
    FAIL() << "came twice";
  } catch (no_mesh const& error) {
    EXPECT_NE(std::string(error.what()).find("rank 2 is there already, in epoch0"),
              std::string::npos)
        << error.what();
  }
  EXPECT_THROW(gloo_mesh({.directory = at.path}, 1, {0, 1}, 2), std::invalid_argument);
  EXPECT_THROW(gloo_mesh({.directory = "/proc/nowhere"}, 0, {0}, 0), no_mesh);
  EXPECT_THROW(gloo_mesh({.directory = at.path, .interface = "no-such-interface"}, 2, {0}, 0),
               no_mesh);
}

TEST(gloo_mesh, alone_needs_nobody) {
  std::signal(SIGPIPE, SIG_IGN);
  meeting_place const at;
  gloo_mesh net({.directory = at.path}, 0, {3}, 3);
  EXPECT_EQ(net.rank(), 3);
  EXPECT_EQ(net.size(), 1);
  net.flush();
  net.close();
  EXPECT_EQ(agree(
                {.directory = at.path}, 0, {3}, 3, [] { return std::vector<rank_id>{}; }, 8),
            (std::vector<survivor>{{3, 8}}));
}

}  // namespace
}  // namespace shunt
