#include "shunt/execute/streams/require_fit.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/core/error.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/program/builder.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::require_fit_test {
namespace {

using namespace detail;

TEST(require_fit, refuses_what_a_device_can_not_address) {
  auto const refused = [](program const& p, std::string const& why) {
    mixing_work w(p);
    try {
      (void)on_host_streams(1).run(p, w);
      ADD_FAILURE() << "not refused";
    } catch (invalid_program const& e) {
      EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
  };
  program_builder b(1);
  b.buffer(0, 32, true);
  b.buffer(0, 32, true);
  b.add(0, element::float64, {0, 4, 16}, {1, 0, 16});
  refused(
      b.peek(),
      "rank 0, instruction 0: a device can't address bytes [4, +16) of buffer 0 as elements of 8");
  program_builder c(1);
  c.buffer(0, 32, true);
  c.fill(0, {0, 16, 16}, {.condition = {0, 4, 8}});
  refused(c.peek(), "bytes [4, +8) of buffer 0 as elements of 8");
  program_builder d(1);
  d.buffer(0, 32, true);
  d.buffer(0, 32, true);
  d.copy(0, {0, 0, 16}, {1, 0, 8});
  refused(d.peek(), "source and target differ in size");
}

TEST(require_fit, ends_of_a_message_and_members_of_a_collective_agree) {
  auto const refusal = [](program const& p) {
    try {
      require_fit(p, find_dependencies(p));
      return std::string();
    } catch (invalid_program const& e) {
      return std::string(e.what());
    }
  };
  program_builder b(2);
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 16});
  EXPECT_NE(refusal(b.peek()).find("rank 1 receives 8 bytes, not 16"), std::string::npos);
  program_builder c(2);
  auto const both = c.group({0, 1});
  c.all_reduce(0, both, element::int64, reduction::sum, {0, 0, 8});
  c.all_reduce(1, both, element::int64, reduction::sum, {0, 0, 16});
  EXPECT_NE(refusal(c.peek()).find("the members of group 0 call for different collectives"),
            std::string::npos);
  program_builder d(2);
  d.message(0, {0, 0, 8}, 1, {0, 8, 8});
  EXPECT_EQ(refusal(d.peek()), "");
}

}  // namespace
}  // namespace shunt::tests::require_fit_test
