#include <gtest/gtest.h>

#include "shunt/solve/pipeline/v_half.hpp"
#include "support/zero_bubble.hpp"

namespace shunt::tests::v_half_test {
namespace {

TEST(v_half, has_the_closed_form_of_bubble_and_stash_with_equal_costs) {
  closed_form<v_half>(2, false);
}

}  // namespace
}  // namespace shunt::tests::v_half_test
