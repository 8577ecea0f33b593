#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
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

}  // namespace
}  // namespace shunt::tests::membership_test
