#include "shunt/execute/streams/stream_program.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/program/builder.hpp"
#include "support/host_streams.hpp"

namespace shunt::tests::stream_program_test {
namespace {

using namespace detail;

std::shared_ptr<program const> exchange_of_two() {
  program_builder b(2);
  auto const both = b.group({1, 0});
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    for (byte_count const bytes : {32, 16, 32, 16, 8}) b.buffer(r, bytes, true);
    b.exchange(r, both, {0, 0, 32}, {1, 0, 16}, {2, 0, 32}, {3, 0, 16}, {.condition = {4, 0, 8}});
  }
  return std::make_shared<program const>(std::move(b).finish());
}

TEST(stream_program, refuses_ranks_that_wait_for_each_other) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.receive(r, 1 - r.value(), {0, 0, 8});
    b.send(r, 1 - r.value(), {0, 0, 8});
  }
  EXPECT_THROW(stream_program<host_streams>(std::make_shared<program const>(b.peek())),
               invalid_program);
}

TEST(stream_program, is_bound_once) {
  auto const p = exchange_of_two();
  mixing_work w(*p);
  host_streams system(1);
  stream_program<host_streams> streams(p);
  EXPECT_TRUE(streams.words().empty());
  streams.bind(system, w);
  auto const* const words = streams.words().data();
  EXPECT_EQ(streams.words().size(),
            static_cast<std::size_t>(streams.plan().first_word.back()) * sizeof(std::int64_t));
  streams.bind(system, w);
  EXPECT_EQ(streams.words().data(), words);
  EXPECT_EQ(&streams.what(), p.get());
}

TEST(stream_program, words_that_a_run_has_left_are_judged) {
  auto const p = exchange_of_two();
  mixing_work w(*p);
  host_streams system(1);
  stream_program<host_streams> streams(p);
  streams.bind(system, w);
  auto const& plan = streams.plan();
  std::vector<std::int64_t> words(static_cast<std::size_t>(plan.first_word.back()), 0);
  auto const refusal = [&] {
    try {
      check_overflow_words(*p, streams.links(), plan, words);
      return std::string();
    } catch (invalid_program const& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(refusal(), "");  // both conditions are 0
  words[static_cast<std::size_t>(plan.word_at[0])] = 1;
  EXPECT_NE(refusal().find(
                "rank 0, instruction 0: its condition lets it run and its other member's doesn't"),
            std::string::npos);
  words[static_cast<std::size_t>(plan.word_at[1])] = 1;
  EXPECT_EQ(refusal(), "");
  for (auto const at : plan.overflow_at)
    if (at != stream_plan::none) words[static_cast<std::size_t>(at) + 1] = 17;  // member 0 to 1
  EXPECT_NE(refusal().find("exchange on rank 1: count 1 is 17, its part holds 16 bytes"),
            std::string::npos);
}

}  // namespace
}  // namespace shunt::tests::stream_program_test
