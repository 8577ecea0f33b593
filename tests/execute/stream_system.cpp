// The rules of streams and captures, as the double of the tests keeps them.
#include <gtest/gtest.h>

#include <stdexcept>

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

}  // namespace
}  // namespace shunt::tests::stream_system_test
