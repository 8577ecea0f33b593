#include "shunt/execute/host/run_log.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::run_log_test {
namespace {

using namespace detail;

TEST(run_log, what_a_condition_left_out_is_done_and_no_event) {
  program_builder b(2);
  b.fill(1, {0, 0, 8});
  b.compute(1, {.microbatch = 4}, {}, {});
  auto const p = std::make_shared<program const>(std::move(b).finish());
  run_log log;
  log.expect(2);
  log.instruction_left_out();
  log.instruction_ended(3, 5);
  log.list_ended();
  log.instruction_ended(6, 7);
  EXPECT_EQ(log.done(), (progress{1, 1}));
  EXPECT_EQ(log.size(), 3U);
  std::vector<event> events;
  log.append_to(events, 1, std::vector{p, p});
  EXPECT_EQ(events, (std::vector<event>{{1, 0, 1, opcode::compute, {.microbatch = 4}, 3, 5},
                                        {1, 1, 0, opcode::fill, {}, 6, 7}}));
}

}  // namespace
}  // namespace shunt::tests::run_log_test
