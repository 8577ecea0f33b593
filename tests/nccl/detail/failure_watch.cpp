#include "shunt/nccl/detail/failure_watch.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>

#include "support/host_streams.hpp"

namespace shunt::tests::failure_watch_test {
namespace {

using namespace detail;

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
TEST(failure_watch, closes_its_guard_while_every_queue_is_stuck) {
  struct stuck_system : host_streams {
    using host_streams::host_streams;
    bool stuck = false;
    void finish(event& e) {
      if (stuck) throw std::logic_error("waits for ever");
      host_streams::finish(e);
    }
    void synchronize() {
      if (stuck) throw std::logic_error("waits for ever");
      host_streams::synchronize();
    }
  } system(1, host_streams::temper::lazy);
  auto const stream = system.make_stream();
  shared_guard<stuck_system> guard;
  failure_watch<stuck_system> watch(system, stream, 0, guard);
  std::int64_t effect = 0, one = 1;
  system.synchronize();
  stream_part const part{.from = reinterpret_cast<std::byte const*>(&one),
                         .to = reinterpret_cast<std::byte*>(&effect),
                         .bytes = sizeof effect};
  system.move(stream, {&part, 1}, watch.guard());
  system.stuck = true;
  EXPECT_NO_THROW(guard.stop(system));
  system.stuck = false;
  system.synchronize();  // the queues run again when the communicators have ended
  EXPECT_EQ(effect, 0);
  EXPECT_EQ(*watch.guard(), 0);
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
