// Processes that meet over Gloo, run programs, and really die.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

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
#include "shunt/execute/inline.hpp"
#include "shunt/execute/rank_loop.hpp"
#include "shunt/gloo/agreement.hpp"
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
  auto const at = static_cast<std::size_t>(std::find(all.begin(), all.end(), net.rank()) - all.begin());
  std::int64_t got = 0;
  net.send(all[(at + 1) % all.size()], 3, std::as_bytes(std::span(&token, 1)));
  net.receive(all[(at + all.size() - 1) % all.size()], 3, std::as_writable_bytes(std::span(&got, 1)));
  if (got != token) throw std::logic_error("another token came round");
}

// The conformance of other executors, on processes: every rank of a random program ends with the memory that the reference gives it.
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

// Killed and stopped processes are noticed, the survivors agree, meet again under their old numbers and go on; who was stopped finds itself
// fenced off when it wakes up.
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
        } catch (peer_lost const&) {
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
    for (rank_id const r : {rank_id{0}, rank_id{2}, rank_id{3}}) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
    for (rank_id const r : {rank_id{1}, rank_id{4}}) {
      if (how == SIGSTOP) all.signal(r, SIGCONT);
      EXPECT_EQ(all.status(r), how == SIGKILL ? -SIGKILL : 5) << "rank " << r.value();
    }
  }
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
    EXPECT_NE(std::string(error.what()).find("after 50 ms these ranks did not come to epoch0: 0, 7"), std::string::npos) << error.what();
  }
  try {  // it has signed in above, and is still there for all that this one knows
    gloo_mesh const net({.directory = at.path, .patience = 50ms}, 0, {0, 2, 7}, 2);
    FAIL() << "came twice";
  } catch (no_mesh const& error) {
    EXPECT_NE(std::string(error.what()).find("rank 2 is there already, in epoch0"), std::string::npos) << error.what();
  }
  EXPECT_THROW(gloo_mesh({.directory = at.path}, 1, {0, 1}, 2), std::invalid_argument);
  EXPECT_THROW(gloo_mesh({.directory = "/proc/nowhere"}, 0, {0}, 0), no_mesh);
  EXPECT_THROW(gloo_mesh({.directory = at.path, .interface = "no-such-interface"}, 2, {0}, 0), no_mesh);
}

TEST(gloo_mesh, alone_needs_nobody) {
  std::signal(SIGPIPE, SIG_IGN);
  meeting_place const at;
  gloo_mesh net({.directory = at.path}, 0, {3}, 3);
  EXPECT_EQ(net.rank(), 3);
  EXPECT_EQ(net.size(), 1);
  net.flush();
  net.close();
  EXPECT_EQ(agree({.directory = at.path}, 0, {3}, 3, [] { return std::vector<rank_id>{}; }, 8), (std::vector<survivor>{{3, 8}}));
}

}  // namespace
}  // namespace shunt
