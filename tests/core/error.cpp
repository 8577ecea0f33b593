#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "shunt/core/error.hpp"

namespace shunt::tests::error_test {
namespace {

TEST(error, an_invalid_problem_names_its_field) {
  invalid_problem const broken("costs.forward[2]", "must be at least 1, is 0");
  EXPECT_EQ(broken.field(), "costs.forward[2]");
  EXPECT_EQ(std::string(broken.what()), "costs.forward[2]: must be at least 1, is 0");
}

TEST(error, both_are_invalid_arguments) {
  EXPECT_THROW(throw invalid_problem("stages", "is 0"), std::invalid_argument);
  EXPECT_THROW(throw invalid_program("made for 3 ranks"), std::invalid_argument);
}

}  // namespace
}  // namespace shunt::tests::error_test
