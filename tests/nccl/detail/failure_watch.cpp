#include "shunt/nccl/detail/failure_watch.hpp"

#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>

#include "support/host_streams.hpp"

namespace shunt::tests::failure_watch_test {
namespace {

using namespace detail;

TEST(failure_watch, counts_iterations_on_the_device) {
  host_streams system(1);
  auto const stream = system.make_stream();
  failure_watch<host_streams> watch(system, stream, 7);
  watch.next_iteration(stream);
  watch.next_iteration(stream);
  system.synchronize();
  EXPECT_EQ(*watch.iteration(), 8);
  EXPECT_EQ(*watch.guard(), 1);
}

TEST(failure_watch, closes_its_guard_and_keeps_what_the_work_threw) {
  host_streams system(1);
  auto const stream = system.make_stream();
  failure_watch<host_streams> watch(system, stream, 0);
  system.synchronize();
  watch.stop();
  EXPECT_EQ(*watch.guard(), 0);
  EXPECT_NO_THROW(watch.rethrow());
  watch.sink()->what = std::make_exception_ptr(std::runtime_error("no data"));
  EXPECT_THROW(watch.rethrow(), std::runtime_error);
}

}  // namespace
}  // namespace shunt::tests::failure_watch_test
