#include "shunt/execute/streams/stream_log.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::stream_log_test {
namespace {

using namespace detail;

TEST(stream_log, words_say_what_was_left_out_and_stamps_when_the_rest_ran) {
  program_builder b(1);
  for (byte_count const size : {8, 8}) b.buffer(0, size, true);
  b.fill(0, {0, 0, 8}, {.condition = {1, 0, 8}});
  b.fill(0, {0, 0, 8});
  auto const p = std::make_shared<program const>(std::move(b).finish());
  auto const d = find_dependencies(*p);
  auto const plan = plan_streams(*p, d, serial_order(*p, d));
  std::vector<std::int64_t> words(static_cast<std::size_t>(plan.first_word.back()), 0);
  std::vector<ticks> stamps;
  for (auto const& span : plan.spans)
    for (auto const at : {span.start, span.end})
      if (stamps.size() <= static_cast<std::size_t>(at))
        stamps.resize(static_cast<std::size_t>(at) + 1);
  for (std::size_t n = 0; n < stamps.size(); ++n) stamps[n] = static_cast<ticks>(10 * n);
  std::vector<std::int32_t> const done{2};
  std::vector<run_log> timed(1), untimed(1);
  log_run(timed, plan, done, {true}, words, stamps);
  log_run(untimed, plan, done, {false}, words, {});
  EXPECT_EQ(timed[0].done(), (progress{1, 0}));
  EXPECT_EQ(untimed[0].done(), (progress{0, 2}));
  std::vector<event> events;
  timed[0].append_to(events, 0, std::vector{p});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].instruction, 1);
  EXPECT_EQ(events[0].start, 10 * plan.spans[1].start);
  EXPECT_EQ(events[0].end, 10 * plan.spans[1].end);
}

}  // namespace
}  // namespace shunt::tests::stream_log_test
