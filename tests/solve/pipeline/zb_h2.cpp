#include <gtest/gtest.h>

#include "shunt/solve/pipeline/zb_h2.hpp"
#include "support/zero_bubble.hpp"

namespace shunt::tests::zb_h2_test {
namespace {

TEST(zb_h2, has_the_closed_form_of_bubble_and_stash_with_equal_costs) {
  closed_form<zb_h2>(1, true);
}

}  // namespace
}  // namespace shunt::tests::zb_h2_test
