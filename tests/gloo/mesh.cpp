// Processes that meet over Gloo, run programs, and really die.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "support/gloo_processes.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::mesh_test {
namespace {

using namespace detail;
using namespace gloo_ranks;

using namespace std::chrono_literals;

// The conformance of other executors, on processes: every rank of a random program ends with the
// memory that the reference gives it.
TEST(mesh, programs_give_what_the_reference_gives) {
  random_choices d(21);
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    auto p = random_program(d);
    tie_lanes(p);
    mixing_work reference(p);
    inline_executor{}.run(p, reference);
    scratch_directory const at;
    auto const ranks = static_cast<std::int32_t>(p.ranks.size());
    processes all(ranks, [&](rank_id r) {
      mixing_work own(p);
      gloo_mesh net({.directory = at.path}, 0, every_rank(ranks), r);
      rank_interpreter<gloo_mesh, mixing_work> loop(net, own, 0, stopwatch{});
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

// A peer that takes nothing for a while, not as long as to be lost, gets all in the end: what it
// was sent is kept until then.
TEST(mesh, a_peer_may_be_slow_to_read) {
  scratch_directory const at;
  processes all(2, [&](rank_id self) {
    gloo_mesh net({.directory = at.path, .silence = 10'000ms}, 0, every_rank(2), self);
    pass_round(net, 0);
    if (self == 1) raise(SIGSTOP);
    for (std::int64_t n = 1; self == 0 && n <= 300; ++n, std::this_thread::sleep_for(1ms)) {
      net.publish(n);
      net.send(1, 5, std::as_bytes(std::span(&n, 1)));
    }
    for (std::int64_t n = 1, got = 0; self == 1 && n <= 300; ++n) {
      net.receive(0, 5, std::as_writable_bytes(std::span(&got, 1)));
      if (got != n) return 2;
    }
    net.publish(300);
    if (!net.all_reached(300)) return 3;
    for (std::int64_t n = 0; n < 100; ++n) pass_round(net, n);
    net.close();
    return net.lost().empty() ? 0 : 4;
  });
  std::this_thread::sleep_for(1500ms);
  all.signal(1, SIGCONT);
  for (rank_id const r : ids<rank_id>(2)) EXPECT_EQ(all.status(r), 0) << "rank " << r.value();
}

TEST(mesh, alone_needs_nobody) {
  std::signal(SIGPIPE, SIG_IGN);
  scratch_directory const at;
  gloo_mesh net({.directory = at.path}, 0, {3}, 3);
  EXPECT_EQ(net.rank(), 3);
  EXPECT_EQ(net.size(), 1);
  net.flush();
  net.close();
  EXPECT_EQ(agree(
                {.directory = at.path}, 0, {3}, 3, [] { return known_losses{}; }, 8),
            (std::vector<survivor>{{3, 8}}));
}

}  // namespace
}  // namespace shunt::tests::mesh_test
