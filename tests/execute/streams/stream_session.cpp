#include "shunt/execute/streams/stream_session.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "shunt/core/error.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/program/builder.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::stream_session_test {
namespace {

/// The host does not read conditions before it enqueues: `wait` finds them.
TEST(stream_session, finds_conditions_that_disagree) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.buffer(r, 8, true);
  }
  placing const when{.condition = {1, 0, 8}};
  b.send(0, 1, {0, 0, 8}, 0, when);
  b.receive(1, 0, {0, 0, 8}, 0, when);
  for (int const one : {0, 1}) {
    mixing_work w(b.peek());
    std::int64_t const yes = 1;
    std::memcpy(w.buffer(one, 1).data(), &yes, sizeof yes);
    EXPECT_THROW((void)on_host_streams(1).run(b.peek(), w), invalid_program);
    EXPECT_THROW((void)as_host_graphs(1).run(b.peek(), w), invalid_program);
  }
}

}  // namespace
}  // namespace shunt::tests::stream_session_test
