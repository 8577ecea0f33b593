#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "support/host_streams.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::stream_work_test {
namespace {

/// A work that enqueues itself, as one on a device does: it reads its iteration and its condition
/// when the stream gets there.
struct enqueued_work {
  host_streams* system;
  mixing_work* host;
  void operator()(rank_id r, stream_task const& t, host_streams::stream_ref on) {
    system->call(on, [w = host, r, t] {
      if (!t.condition || *t.condition != 0) (*w)(r, task{t.op, *t.iteration, t.reads, t.writes});
    });
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return host->buffer(r, b); }
};

static_assert(stream_work<enqueued_work, host_streams::stream_ref> && !work<enqueued_work>);
static_assert(work_on_streams<enqueued_work, host_streams> &&
              work_on_streams<mixing_work, host_streams>);

TEST(stream_work, run_a_work_that_enqueues_itself) {
  random_choices d(5);
  for (int round = 0; round < 10; ++round) {
    auto const p = std::make_shared<program const>(random_program(d, 2));
    mixing_work expected(*p), host(*p);
    auto a = inline_executor{}.open(expected, 7);
    auto const executor = on_host_streams(static_cast<std::uint64_t>(round));
    enqueued_work w{executor.system.get(), &host};
    auto b = executor.open(w, 7);
    for (int n = 0; n < 3; ++n) a.submit(p), b.submit(p);
    (void)a.wait();
    (void)b.wait();
    EXPECT_TRUE(host == expected);
  }
}

}  // namespace
}  // namespace shunt::tests::stream_work_test
