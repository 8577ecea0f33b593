#include <gtest/gtest.h>

#include "shunt/solve/pipeline/zb_v.hpp"
#include "support/zero_bubble.hpp"

namespace shunt::tests::zb_v_test {
namespace {

TEST(zb_v, has_the_closed_form_of_bubble_and_stash_with_equal_costs) { closed_form<zb_v>(2, true); }

}  // namespace
}  // namespace shunt::tests::zb_v_test
