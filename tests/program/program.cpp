#include "shunt/program/program.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace shunt::tests::program_test {
namespace {

TEST(program, the_last_four_opcodes_are_collectives) {
  std::string names;
  for (auto const c :
       {opcode::compute, opcode::send, opcode::receive, opcode::copy, opcode::add, opcode::fill,
        opcode::all_reduce, opcode::reduce_scatter, opcode::all_gather, opcode::exchange})
    if (is_collective(c)) names += std::string(to_string(c)) + " ";
  EXPECT_EQ(names, "all_reduce reduce_scatter all_gather exchange ");
}

TEST(program, elements_have_a_size_and_a_name) {
  std::string all;
  for (auto const e : {element::bytes, element::int32, element::int64, element::float32,
                       element::float64, element::bfloat16, element::float16})
    all += std::string(to_string(e)) + " " + std::to_string(size_of(e)) + ", ";
  EXPECT_EQ(all, "bytes 1, int32 4, int64 8, float32 4, float64 8, "
                 "bfloat16 2, float16 2, ");
  EXPECT_EQ(to_string(reduction::max), "max");
}

TEST(program, regions_and_waits_of_an_instruction_come_from_the_tables_of_its_rank) {
  rank_program own{.instructions = {{.reads = {1, 2}, .writes = {0, 1}, .after = {1, 1}}},
                   .regions = {{0, 0, 8}, {1, 0, 8}, {1, 8, 8}, {2, 0, 8}},
                   .waits = {7, 9}};
  auto& i = own.instructions[0];
  EXPECT_TRUE(std::ranges::equal(own.reads(i), std::vector<region>{{1, 0, 8}, {1, 8, 8}}));
  EXPECT_TRUE(std::ranges::equal(own.writes(i), std::vector<region>{{0, 0, 8}}));
  EXPECT_TRUE(std::ranges::equal(own.after(i), std::vector{9}));
  EXPECT_TRUE(own.condition(i).empty());
  i.condition = 3;
  EXPECT_TRUE(std::ranges::equal(own.condition(i), std::vector<region>{{2, 0, 8}}));
}

TEST(program, counts_the_instructions_of_all_ranks) {
  program p;
  EXPECT_EQ(p.instructions(), 0U);
  p.ranks.resize(3);
  p.ranks[0].instructions.resize(2);
  p.ranks[2].instructions.resize(5);
  EXPECT_EQ(p.instructions(), 7U);
}

}  // namespace
}  // namespace shunt::tests::program_test
