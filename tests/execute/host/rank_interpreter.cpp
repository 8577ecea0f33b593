#include "shunt/execute/host/rank_interpreter.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/host/in_process_network.hpp"
#include "shunt/program/builder.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::rank_interpreter_test {
namespace {

using namespace detail;

program alone() {
  program_builder b(2);
  b.buffer(0, 8, true);
  b.compute(0, {}, {}, {{0, 0, 8}});
  b.compute(0, {}, {}, {{0, 0, 8}}, {.condition = {0, 0, 8}});
  return std::move(b).finish();
}

TEST(rank_interpreter, asks_before_every_instruction_and_at_the_end) {
  auto const p = alone();
  mixing_work w(p);
  std::vector<std::int64_t> iterations;
  w.before = [&](rank_id, task const& t) { iterations.push_back(t.iteration); };
  in_process_network net(2);
  auto end = net.at(0);
  rank_interpreter<in_process_network::endpoint, mixing_work> loop(end, w, 5, stopwatch{});
  EXPECT_EQ(loop.iteration(), 5);
  std::vector<std::int32_t> asked;
  loop.run(p, [&](std::int32_t i) { asked.push_back(i); });
  EXPECT_EQ(asked, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(loop.iteration(), 6);
  EXPECT_EQ(loop.log().done(), (progress{1, 0}));
  EXPECT_EQ(iterations, (std::vector<std::int64_t>{5, 5}));
}

TEST(rank_interpreter, ends_where_it_is_told_to) {
  auto const p = alone();
  mixing_work w(p);
  in_process_network net(2);
  auto end = net.at(0);
  rank_interpreter<in_process_network::endpoint, mixing_work> loop(end, w, 0, stopwatch{});
  EXPECT_THROW(loop.run(p,
                        [](std::int32_t i) {
                          if (i == 1) throw std::runtime_error("enough");
                        }),
               std::runtime_error);
  EXPECT_EQ(loop.log().done(), (progress{0, 1}));
}

TEST(rank_interpreter, refuses_a_group_that_its_rank_is_not_in) {
  program_builder b(2);
  b.buffer(0, 8, true);
  auto const others = b.group({1});
  b.all_reduce(0, others, element::int64, reduction::sum, {0, 0, 8});
  mixing_work w(b.peek());
  in_process_network net(2);
  auto end = net.at(0);
  rank_interpreter<in_process_network::endpoint, mixing_work> loop(end, w, 0, stopwatch{});
  try {
    loop.run(b.peek(), [](std::int32_t) {});
    FAIL();
  } catch (invalid_program const& e) {
    EXPECT_STREQ(e.what(), "rank 0 is no member of group 0");
  }
}

}  // namespace
}  // namespace shunt::tests::rank_interpreter_test
