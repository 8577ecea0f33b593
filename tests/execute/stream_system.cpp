// The rules of streams and captures, as the double of the tests keeps them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "support/host_streams.hpp"

namespace shunt::tests::stream_system_test {
namespace {

TEST(stream_system, host_streams_finds_what_cuda_passes_over) {
  host_streams s(1);
  auto const a = s.make_stream(), b = s.make_stream();
  auto e = s.make_event(), f = s.make_event();
  EXPECT_THROW(s.wait(a, e), std::logic_error);
  s.begin_capture(a);
  EXPECT_THROW(s.fill(b, {}, nullptr), std::logic_error);  // nothing has tied it to the capture
  s.record(e, a);
  s.wait(b, e);
  s.fill(b, {}, nullptr);
  host_streams::graph g;
  EXPECT_THROW(s.end_capture(a, g), std::logic_error);  // b doesn't come back
  s.record(f, b);
  EXPECT_THROW(s.wait(a, e), std::logic_error);  // the capture is over
}

TEST(stream_system, streams_that_share_a_hardware_queue_run_in_order) {
  bool overtaken = false;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    for (std::size_t const queues : {1U, 0U}) {
      host_streams s(seed);
      s.hardware_queues = queues;
      host_streams::stream const streams[] = {s.make_stream(), s.make_stream(), s.make_stream()};
      std::vector<int> ran;
      for (int n = 0; n < 30; ++n) s.call(streams[n % 3], [&ran, n] { ran.push_back(n); });
      s.synchronize();
      EXPECT_EQ(ran.size(), 30U);
      if (queues == 1)
        EXPECT_TRUE(std::ranges::is_sorted(ran)) << seed;
      else
        overtaken = overtaken || !std::ranges::is_sorted(ran);
    }
  EXPECT_TRUE(overtaken);
}

}  // namespace
}  // namespace shunt::tests::stream_system_test
