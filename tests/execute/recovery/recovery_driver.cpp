#include "shunt/execute/recovery/recovery_driver.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/program/builder.hpp"
#include "support/sum_training.hpp"

namespace shunt::tests::recovery_driver_test {
namespace {

using namespace sum_training;

TEST(recovery_driver, refuses_to_undo_two_steps) {
  auto const untied = [](dead_ranks) {
    program_builder b(workers);
    for (rank_id const r : ids<rank_id>(workers)) {
      b.buffer(r, state, width, true);
      b.buffer(r, gradient, width, true);
      b.compute(r, {.kind = op_kind::step}, {}, {{state, 0, width}});
    }
    b.send(2, 1, {state, 0, width});
    b.receive(1, 2, {gradient, 0, width});
    return std::optional(std::move(b).finish());
  };
  toy_training w;
  try {  // rank 1 waits for rank 2, rank 0 runs to the end
    (void)run_through_losses(inline_executor{.failures = {{2, 1, 0}}}, w, {.end = 6}, untied,
                             [](completed_iteration const&) {});
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_NE(
        std::string(e.what()).find("rank 0 would have to undo 5 steps to go back to iteration 1"),
        std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace shunt::tests::recovery_driver_test
