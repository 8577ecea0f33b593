#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "support/gloo_processes.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::membership_test {
namespace {

using namespace detail;
using namespace gloo_ranks;

using namespace std::chrono_literals;

// Killed and stopped processes are noticed, the survivors agree, meet again under their old numbers
// and go on; who was stopped finds itself fenced off when it wakes up.
TEST(membership, survivors_agree_and_go_on) {
  constexpr std::int32_t ranks = 5;
  for (int const how : {SIGKILL, SIGSTOP}) {
    SCOPED_TRACE(how == SIGKILL ? "killed" : "stopped");
    scratch_directory const at;
    processes all(ranks, [&](rank_id self) {
      gloo_config const config{.directory = at.path, .silence = 1500ms};
      auto members = every_rank(ranks);
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
            left = agree(config, epoch, members, self, [&] { return net.losses(); }, rounds);
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

/// Agrees as these ranks, of five, at once and each with what it has lost.
std::vector<std::vector<survivor>> agreed(std::vector<rank_id> const& who,
                                          std::vector<known_losses> const& losses,
                                          std::chrono::milliseconds patience) {
  scratch_directory const at;
  gloo_config const config{.directory = at.path, .patience = patience};
  std::vector<std::future<std::vector<survivor>>> answers;
  for (std::size_t i = 0; i < who.size(); ++i)
    answers.push_back(std::async(std::launch::async, [&, i] {
      if (i > 0) std::this_thread::sleep_for(200ms);  // the first has time to decide alone
      return agree(config, 0, every_rank(5), who[i], [&] { return losses[i]; }, 7);
    }));
  std::vector<std::vector<survivor>> all;
  for (auto& answer : answers) all.push_back(answer.get());
  return all;
}

// It was stalled itself, and the others are all there.
TEST(membership, who_misses_most_by_silence_waits_for_who_decides) {
  std::vector<rank_id> const others{1, 2, 3, 4};
  std::vector<survivor> const all{{0, 7}, {1, 7}, {2, 7}, {3, 7}, {4, 7}};
  for (auto const& answer : agreed(every_rank(5), {{others, others}, {}, {}, {}, {}}, 60s))
    EXPECT_EQ(answer, all);
}

// It has lost one, and hears two others no more: soon it will miss most.
TEST(membership, who_hears_too_few_waits_for_who_decides) {
  std::vector<survivor> const all{{0, 7}, {1, 7}, {2, 7}, {3, 7}, {4, 7}};
  for (auto const& answer : agreed(every_rank(5), {{{1}, {1}, {2, 3}}, {}, {}, {}, {}}, 60s))
    EXPECT_EQ(answer, all);
}

// The lowest member has signed in and decides no more; no mesh says that it is dead.
TEST(membership, another_decides_where_the_lowest_does_not) {
  scratch_directory const at;
  std::ofstream(at.path + "/epoch3.view0") << "5 1 ";
  auto const begun = std::chrono::steady_clock::now();
  EXPECT_EQ(agree(
                {.directory = at.path, .silence = 50ms, .patience = 60s}, 3, {0, 4}, 4,
                [] { return known_losses{}; }, 7),
            (std::vector<survivor>{{0, 5}, {4, 7}}));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 100ms);
}

TEST(membership, who_cannot_be_reached_is_left_out) {
  scratch_directory const at;
  std::ofstream(at.path + "/epoch3.view0") << "5 0 ";
  std::ofstream(at.path + "/epoch3.view1") << "5 0 ";
  std::ofstream(at.path + "/epoch3.failed0") << "1 4 ";
  EXPECT_EQ(agree(
                {.directory = at.path}, 3, {0, 1, 4}, 4, [] { return known_losses{}; }, 7),
            (std::vector<survivor>{{1, 5}, {4, 7}}));
}

TEST(membership, who_misses_most_for_certain_decides) {
  auto const begun = std::chrono::steady_clock::now();
  EXPECT_EQ(agreed({3, 4}, {{{0, 1, 2}, {}}, {{0, 1, 2}, {}}}, 60s)[0],
            (std::vector<survivor>{{3, 7}, {4, 7}}));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST(membership, a_directory_that_has_vanished_is_made_again) {
  scratch_directory const at;
  std::filesystem::remove_all(at.path);
  EXPECT_EQ(agree(
                {.directory = at.path}, 3, {4}, 4, [] { return known_losses{}; }, 7),
            (std::vector<survivor>{{4, 7}}));
}

TEST(membership, who_misses_most_for_long_decides) {
  std::vector<rank_id> const others{0, 1, 3, 4};
  EXPECT_EQ(agreed({2}, {{others, others}}, 50ms)[0], (std::vector<survivor>{{2, 7}}));
}

}  // namespace
}  // namespace shunt::tests::membership_test
