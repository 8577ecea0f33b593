#include <gtest/gtest.h>

#include "shunt/check/program_violation.hpp"
#include "support/program_violations.hpp"

namespace shunt::tests::program_violation_test {
namespace {

using rule = program_rule;

TEST(program_violation, says_it_in_one_line) {
  EXPECT_EQ(
      to_string(program_violation{
          .rule = rule::message_size, .at = {1, 5}, .other = {2, 7}, .found = 64, .expected = 32}),
      "rank 1, instruction 5: message_size: 64 instead of 32 (with rank 2, instruction 7)");
  EXPECT_EQ(
      to_string(program_violation{.rule = rule::unwritten, .at = {0, 3}, .where = {2, 8, 16}}),
      "rank 0, instruction 3: unwritten: buffer 2 [8, +16)");
  EXPECT_EQ(to_string(program_violation{.rule = rule::group, .at = {0, -1}, .found = 4}),
            "group 4: group");
  EXPECT_EQ(to_string(program_violation{
                .rule = rule::missing_member, .at = {1, 4}, .other = {0, -1}, .found = 2}),
            "rank 1, instruction 4: missing_member: group 2 (with rank 0)");
}

}  // namespace
}  // namespace shunt::tests::program_violation_test
