#include "shunt/nccl/detail/failure_watch.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <vector>

#include "support/host_streams.hpp"
#include "support/nccl_double.hpp"
#include "support/nccl_parties.hpp"

namespace shunt::tests::failure_watch_test {
namespace {

using namespace nccl_parties;

TEST(failure_watch, counts_iterations_on_the_device) {
  host_streams system(1);
  auto const stream = system.make_stream();
  shared_guard<host_streams> guard;
  failure_watch<host_streams> watch(system, stream, 7, guard);
  watch.next_iteration(stream);
  watch.next_iteration(stream);
  system.synchronize();
  EXPECT_EQ(*watch.iteration(), 8);
  EXPECT_EQ(*watch.guard(), 1);
}

// Streams share a device's few hardware queues: any stream may be stuck behind a message of a lost
// rank.
TEST(failure_watch, closes_its_guard_while_every_hardware_queue_is_stuck) {
  constexpr std::size_t queues = 8;
  world().reset({.queues = queues});
  int const identity = api::new_identity();
  auto const errors = together(2, [&](rank_id r) {
    party self(identity, 2, r);
    auto const message = [&](word& came) {
      auto g = self.net.open_group();
      if (r == 0)
        self.net.receive(g, bytes(came), 1, self.stream);
      else
        self.net.send(g, bytes(self.mine), 0, self.stream);
    };
    message(self.came);
    EXPECT_TRUE(ends(self.system, self.stream));
    if (r == 1) return;  // lost

    shared_guard<nccl_double::system> guard;
    failure_watch<nccl_double::system> watch(self.system, self.stream, 0, guard);
    std::vector<nccl_double::system::stream> others;
    while (others.size() < queues) others.push_back(self.system.make_stream());
    message(self.more);  // never comes
    auto behind = self.system.make_event();
    self.system.record(behind, self.stream);
    word one = 1, effect = 0, told = 1, nought = 0;
    stream_part const part{.from = bytes(one).data(), .to = bytes(effect).data(), .bytes = 8};
    for (auto& stream : others) {
      self.system.wait(stream, behind);
      self.system.move(stream, {&part, 1}, watch.guard());
    }

    // A copy on a stream of its own, which the host would wait for:
    auto const fresh = self.system.make_stream();
    self.system.copy_to_device(fresh, bytes(nought), bytes(told));
    EXPECT_FALSE(world().comes_to_its_end(fresh));
    EXPECT_EQ(told, 1);
    guard.stop(self.system);
    EXPECT_EQ(*watch.guard(), 0);
    self.net.abort();
    self.system.synchronize();  // the queues run again when the communicators have ended
    EXPECT_EQ(told, 0);
    EXPECT_EQ(effect, 0);
  });
  EXPECT_EQ(errors, nothing(2));
}

TEST(failure_watch, closes_its_guard_and_keeps_what_the_work_threw) {
  host_streams system(1);
  auto const stream = system.make_stream();
  shared_guard<host_streams> guard;
  failure_watch<host_streams> watch(system, stream, 0, guard);
  system.synchronize();
  guard.stop(system);
  EXPECT_EQ(*watch.guard(), 0);
  EXPECT_NO_THROW(watch.rethrow());
  watch.sink()->what = std::make_exception_ptr(std::runtime_error("no data"));
  EXPECT_THROW(watch.rethrow(), std::runtime_error);
}

// One rank sends garbage behind an effect that is suppressed: the rank that receives it must stop
// as well.
TEST(failure_watch, closes_the_guard_of_all_ranks_at_once) {
  host_streams systems[] = {host_streams(1), host_streams(2)};
  shared_guard<host_streams> guard;
  host_streams::stream const streams[] = {systems[0].make_stream(), systems[1].make_stream()};
  failure_watch<host_streams> first(systems[0], streams[0], 0, guard);
  guard.stop(systems[0]);
  failure_watch<host_streams> late(systems[1], streams[1], 0, guard);
  EXPECT_EQ(first.guard(), late.guard());
  EXPECT_EQ(*late.guard(), 0);
  EXPECT_TRUE(late.stopped());
}

TEST(failure_watch, finds_the_guard_closed_where_no_rank_holds_it_any_more) {
  host_streams system(1);
  shared_guard<host_streams> guard;
  guard.stop(system);
  auto const stream = system.make_stream();
  failure_watch<host_streams> late(system, stream, 0, guard);
  EXPECT_EQ(*late.guard(), 0);
}

}  // namespace
}  // namespace shunt::tests::failure_watch_test
