#include "shunt/gloo/detail/heartbeats.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "support/gloo_processes.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::heartbeats_test {
namespace {

using namespace detail;
using namespace gloo_ranks;

using namespace std::chrono_literals;

// Rank 1 has no patience and takes the slow rank 0 for lost, and nobody else does. All the same
// nobody may wait for the two of them. In the end all are left, or all but rank 0 where it signs in
// too late.
TEST(heartbeats, who_lost_nobody_is_called_off_by_who_did) {
  scratch_directory const at;
  processes all(3, [&](rank_id self) {
    gloo_config const config{.directory = at.path, .silence = self == 1 ? 200ms : 8000ms};
    gloo_mesh net(config, 0, every_rank(3), self);
    std::atomic<bool> over = false;
    std::thread talk([&] {  // rank 2 is heard of all the time
      for (std::int64_t n = 1; self == 2 && !over; ++n, std::this_thread::sleep_for(5ms))
        net.publish(n);
    });
    auto const begun = std::chrono::steady_clock::now();
    bool const reached = net.all_reached(1'000'000);
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
      left = agree(config, 0, every_rank(3), self, [&] { return net.losses(); }, 7);
    } catch (fenced_off const&) {
      late = self == 0;
    }
    over = true;
    talk.join();
    std::vector<survivor> const three{{0, 7}, {1, 7}, {2, 7}}, two{{1, 7}, {2, 7}};
    return reached                                                 ? 1
           : !soon                                                 ? 2
           : !aborted                                              ? 3
           : left == three || (left == two && (self != 0 || late)) ? 0
                                                                   : 4;
  });
  for (rank_id const r : ids<rank_id>(3)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
}

// As a whole machine is paused: who wakes up finds the others silent for longer than it may last.
TEST(heartbeats, who_are_stalled_together_lose_nobody) {
  scratch_directory const at;
  processes all(4, [&](rank_id self) {
    gloo_config const config{.directory = at.path, .silence = 2000ms};
    gloo_mesh net(config, 0, every_rank(4), self);
    for (std::int64_t n = 0; n < 250; ++n, std::this_thread::sleep_for(10ms)) pass_round(net, n);
    net.close();
    return net.lost().empty() ? 0 : 1;
  });
  for (int n = 0; n < 2; ++n) {
    std::this_thread::sleep_for(700ms);
    for (int const what : {SIGSTOP, SIGCONT}) {
      for (rank_id const r : ids<rank_id>(4)) all.signal(r, what);
      if (what == SIGSTOP) std::this_thread::sleep_for(3500ms);
    }
  }
  for (rank_id const r : ids<rank_id>(4)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
}

}  // namespace
}  // namespace shunt::tests::heartbeats_test
