#include <gtest/gtest.h>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::inline_executor_test {
namespace {

TEST(inline_executor, refuses_a_circle) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.receive(r, 1 - r.value(), {0, 0, 8});
    b.send(r, 1 - r.value(), {0, 0, 8});
  }
  mixing_work w(b.peek());
  EXPECT_THROW((void)inline_executor{}.run(b.peek(), w), invalid_program);
  simulated_executor const in_virtual_time{.cost = uneven_costs{}, .timeout = 3};
  EXPECT_THROW((void)in_virtual_time.run(b.peek(), w), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::inline_executor_test
