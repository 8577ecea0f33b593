#include "shunt/execute/rank_memory.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "shunt/core/error.hpp"
#include "shunt/program/builder.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::rank_memory_test {
namespace {

std::int64_t number(std::span<std::byte const> bytes) {
  std::int64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}
void set(std::span<std::byte> bytes, std::int64_t value) {
  std::memcpy(bytes.data(), &value, sizeof value);
}

constexpr region first{0, 0, 8}, second{1, 8, 8}, word{2, 0, 8};

program one_rank() {
  program_builder b(1);
  for (byte_count const size : {8, 16, 8}) b.buffer(0, size, true);
  b.copy(0, first, second);
  b.add(0, element::int64, first, second);
  b.fill(0, first);
  b.fill(0, second, {.condition = word});
  return std::move(b).finish();
}

TEST(rank_memory, runs_what_needs_no_other_rank) {
  auto const p = one_rank();
  auto const& own = p.ranks[0];
  mixing_work w(p);
  rank_memory<mixing_work> memory(w, 0);
  memory.bind(own);
  set(memory[first], 21);
  memory.run(own, own.instructions[0], 0);
  EXPECT_EQ(number(memory[second]), 21);
  memory.run(own, own.instructions[1], 0);
  EXPECT_EQ(number(memory[second]), 42);
  memory.run(own, own.instructions[2], 0);
  EXPECT_EQ(number(memory[first]), 0);
}

TEST(rank_memory, a_condition_allows_where_its_word_is_not_zero) {
  auto const p = one_rank();
  auto const& own = p.ranks[0];
  mixing_work w(p);
  rank_memory<mixing_work> memory(w, 0);
  memory.bind(own);
  EXPECT_TRUE(memory.allows(own, own.instructions[0]));
  EXPECT_FALSE(memory.allows(own, own.instructions[3]));
  set(memory[word], -1);
  EXPECT_TRUE(memory.allows(own, own.instructions[3]));
}

}  // namespace
}  // namespace shunt::tests::rank_memory_test
