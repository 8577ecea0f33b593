#include "shunt/execute/streams/stream_pool.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "support/host_streams.hpp"

namespace shunt::tests::stream_pool_test {
namespace {

using namespace detail;

TEST(stream_pool, events_and_memory_of_the_size_asked_for_are_used_again) {
  host_streams system(1);
  stream_pool<host_streams> pool(system);
  auto e = pool.take_event();
  auto const state = e.state;
  EXPECT_TRUE(state->timed);
  pool.give(std::move(e));
  EXPECT_EQ(pool.take_event().state, state);
  EXPECT_NE(pool.take_event().state, state);

  auto m = pool.take_words(64);
  auto const* const bytes = m.bytes().data();
  pool.give(std::move(m));
  EXPECT_NE(pool.take_words(32).bytes().data(), bytes);
  EXPECT_EQ(pool.take_words(64).bytes().data(), bytes);
}

}  // namespace
}  // namespace shunt::tests::stream_pool_test
