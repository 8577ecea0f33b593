#include "shunt/execute/executor.hpp"

#include <gtest/gtest.h>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/program/builder.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::executor_test {
namespace {

TEST(executor, a_borrowed_program_is_not_owned) {
  program const p;
  auto const handle = non_owning(p);
  EXPECT_EQ(handle.get(), &p);
  EXPECT_EQ(handle.use_count(), 0);
}

TEST(executor, run_once_is_a_session_of_one_program) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
  b.compute(0, {.microbatch = 3}, {{0, 0, 8}}, {{0, 0, 8}});
  b.message(0, {0, 0, 8}, 1, {0, 0, 8});
  mixing_work once(b.peek()), session(b.peek());
  auto const o = run_once(inline_executor{}, b.peek(), once);
  auto opened = inline_executor{}.open(session);
  opened.submit(b.peek());
  EXPECT_EQ(o.done, opened.wait().done);
  EXPECT_EQ(o.done[0], (progress{1, 0}));
  EXPECT_TRUE(once == session);
}

}  // namespace
}  // namespace shunt::tests::executor_test
